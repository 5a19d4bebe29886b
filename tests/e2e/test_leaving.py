"""Who leaves in the middle: a client that hangs up, an edge that is told to stop."""

import time
from typing import Any

import pytest
from openai import OpenAI

from tests.support.product import Product

HELLO: Any = [{"role": "user", "content": "Say hello."}]
LAST_EDGE = 1


def _stream(client: OpenAI, model: str, **switches: Any) -> Any:
    return client.chat.completions.create(model=model, messages=HELLO, stream=True, extra_body={"sandbox": switches})


def test_a_client_that_hangs_up_pays_for_what_it_was_given_and_no_hold_stays(product: Product) -> None:
    # given a stream of 20 seconds
    model = product.new_model()
    customer = product.new_customer()
    label = f"hangs-up-{customer.account_id}"
    with product.openai(customer.create_key()) as client:
        stream = _stream(client, model, output_tokens=400, chunk_delay_ms=50, label=label)

        # when the client leaves after some chunks
        received = sum(1 for _, _ in zip(range(11), stream, strict=False)) - 1
        stream.close()

    # then what it was given is charged, and nothing is held any more
    (charge,) = customer.charges()
    assert charge["outcome"] == "client_disconnected"
    assert charge["usage_source"] == "estimated"
    assert received <= charge["output_tokens"] <= received + 5
    (served,) = product.provider.calls(label=label)
    assert served["client_disconnected"], "the provider was told to stop"
    assert served["completion_tokens"] < 400


def test_a_client_that_hangs_up_near_the_end_pays_what_the_provider_reports(product: Product) -> None:
    model = product.new_model(input_usd="1.00", output_usd="2.00")
    customer = product.new_customer()
    with product.openai(customer.create_key()) as client:
        # the rest of the stream takes a second, within the drain of two
        stream = _stream(client, model, output_tokens=20, chunk_delay_ms=50, prompt_tokens=100)
        next(iter(stream))
        stream.close()

    (charge,) = customer.charges()
    assert charge["outcome"] == "client_disconnected"
    assert charge["usage_source"] == "provider"
    assert charge["cost_nanousd"] == 100 * 1000 + 20 * 2000


def test_an_edge_that_is_told_to_stop_ends_its_streams_whole_and_leaves_nothing_behind(
    product: Product, request: pytest.FixtureRequest
) -> None:
    # given an edge with a stream under way
    edge = product.stack.edges[LAST_EDGE]
    request.addfinalizer(edge.start)
    model = product.new_model(input_usd="1.00", output_usd="2.00")
    customer = product.new_customer()
    with product.openai(customer.create_key(), edge=LAST_EDGE) as client:
        stream = iter(_stream(client, model, output_tokens=40, chunk_delay_ms=50, prompt_tokens=100))
        chunks = [next(stream)]

        # when it gets SIGTERM
        edge.process.ask_to_stop()
        chunks += stream

    # then the stream ends whole, the process by itself, and every grant is given back
    assert len(chunks) == 1 + 40 + 1
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert edge.process.wait(20.0) is not None
    stopped_at = time.monotonic()
    assert customer.settled_balance_nanousd() == 5 * 10**9 - 100 * 1000 - 40 * 2000
    assert time.monotonic() - stopped_at < 5.0, "given back at once, not at an expiry"
    left = [path.name for path in (product.stack.folder.edge_journal / edge.name).rglob("*") if path.is_file()]
    assert left == ["lock"], "nothing is left in its journal"
    last_words = "\n".join(edge.process.log_path.read_text().splitlines()[-5:])
    assert "edge stopped epoch_closed=True left_for_next_boot=0" in last_words
