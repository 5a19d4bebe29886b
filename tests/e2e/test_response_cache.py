"""The response cache through the official SDK over two edges: who gets which answer, in which form, and at what price."""

import statistics
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest

from tests.support.asker import HELLO, OUTPUT_TOKENS, PROMPT_TOKENS, SWITCHES, Asker
from tests.support.console import ApiKey, ConsoleUser
from tests.support.event_stream import read_events
from tests.support.product import Product
from tests.support.waiting import eventually
from tt_common.contracts.streams import USAGE, usage_subject

TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
ON = {"X-TT-Cache": "on"}
MISS_NANOUSD = PROMPT_TOKENS * 1_000 + OUTPUT_TOKENS * 2_000
HIT_NANOUSD = PROMPT_TOKENS * 100
HIT_CALLS = 50


@pytest.fixture(scope="module")
def model(product: Product) -> str:
    """$1 input, $0.10 cache read, $2 output a million tokens."""
    return product.new_model(input_usd="1", cache_read_usd="0.1", output_usd="2")


@pytest.fixture
def customer(product: Product) -> ConsoleUser:
    return product.new_customer()


@pytest.fixture
def key(customer: ConsoleUser) -> ApiKey:
    """With the response cache on."""
    return customer.create_key(cache=True)


@pytest.fixture
def asker(product: Product, model: str, customer: ConsoleUser) -> Asker:
    return Asker(product, model, customer)


def elsewhere(look: Callable[[], tuple[dict[str, Any], Any]]) -> tuple[dict[str, Any], Any]:
    """A hit on another edge: answers are shared in the background, and a slow broker is a miss."""

    def hit() -> tuple[dict[str, Any], Any] | None:
        found = look()
        return found if found[1]["x-tt-cache-status"] == "hit" else None

    return eventually(hit, "a hit on the other edge", 5.0)


@pytest.mark.parametrize("first_streams", [False, True], ids=["kept whole", "kept as a stream"])
@pytest.mark.parametrize(
    "fields", [{}, {"tools": TOOLS, "tool_choice": "required"}, {"n": 2}], ids=["text", "tool call", "two choices"]
)
def test_an_answer_of_one_edge_is_given_by_the_other_in_both_forms(
    asker: Asker, key: ApiKey, first_streams: bool, fields: dict[str, Any]
) -> None:
    # given a miss on one edge
    first, headers = asker.ask(key, edge=0, stream=first_streams, **fields)
    assert headers["x-tt-cache-status"] == "miss"
    time.sleep(0.2)

    # when the same is asked again, here and there, whole and as a stream
    again = [asker.ask(key, edge=0, stream=stream, **fields) for stream in (False, True)]
    there = [elsewhere(lambda s=stream: asker.ask(key, edge=1, stream=s, **fields)) for stream in (False, True)]

    # then every answer is that completion, and only its usage says that the prompt was cached
    for answer, answer_headers in again + there:
        assert answer_headers["x-tt-cache-status"] == "hit"
        assert answer_headers["x-tt-cache-read-tokens"] == str(PROMPT_TOKENS)
        assert "x-tt-provider" not in answer_headers
        assert {**answer, "usage": None} == {**first, "usage": None}
        assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] == PROMPT_TOKENS
        assert answer["usage"]["completion_tokens"] == first["usage"]["completion_tokens"]
    assert asker.served == 1


def test_a_hit_costs_the_prompt_at_the_cache_read_price_and_says_what_it_saved(
    product: Product, asker: Asker, customer: ConsoleUser, key: ApiKey
) -> None:
    calls = [asker.ask(key), asker.ask(key), asker.ask(key, stream=True)]

    costs = [MISS_NANOUSD, HIT_NANOUSD, HIT_NANOUSD]
    assert [Decimal(str(answer["usage"]["cost"])) * 10**9 for answer, _ in calls] == costs
    saved = Decimal(MISS_NANOUSD - HIT_NANOUSD) / 10**9
    assert [Decimal(headers["x-tt-cache-saved"]) for _, headers in calls[1:]] == [saved, saved]
    assert customer.settled_balance_nanousd() == 5 * 10**9 - sum(costs)
    receipt = customer.receipt(calls[1][1]["x-request-id"])
    assert receipt["charged_nanousd"] == HIT_NANOUSD
    assert [(line["token_class"], line["quantity"]) for line in receipt["lines"]] == [("cache_read", PROMPT_TOKENS)]
    assert receipt["hold_id"] == calls[1][1]["x-tt-hold-id"]
    usage = {call["request_id"]: call for call in customer.usage(3)}
    hit = usage[calls[2][1]["x-request-id"]]
    assert (hit["input_tokens"], hit["cache_read_tokens"], hit["output_tokens"]) == (0, PROMPT_TOKENS, 0)
    events = {
        event["id"]: event
        for event in read_events(product.stack.nats.url, USAGE.name, usage_subject(customer.account_id))
    }
    assert len(events) == 3
    event = events[hit["request_id"]]
    assert (event["provider"], event["upstream_model"], event["stream"]) == ("", "", True)
    assert (event["flags"], event["usage_source"], event["outcome"]) == (["cache_hit"], "provider", "succeeded")


def test_a_replayed_stream_has_the_usage_chunk_exactly_when_asked_and_comes_in_pieces(
    product: Product, asker: Asker, model: str, key: ApiKey
) -> None:
    asker.ask(key)
    with product.openai(key) as client:
        chunks = list(
            client.chat.completions.create(
                model=model,
                messages=HELLO,
                stream=True,
                extra_body={"sandbox": {**SWITCHES, "label": asker.label}},
            )
        )

    assert asker.served == 1
    assert len(chunks) >= OUTPUT_TOKENS
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_the_header_wins_over_the_keys_setting(asker: Asker, customer: ConsoleUser, key: ApiKey) -> None:
    plain = customer.create_key()

    statuses = [
        asker.ask(plain)[1]["x-tt-cache-status"],
        asker.ask(plain, headers=ON)[1]["x-tt-cache-status"],
        asker.ask(plain, headers=ON)[1]["x-tt-cache-status"],
        asker.ask(key)[1]["x-tt-cache-status"],
        asker.ask(key, headers={"X-TT-Cache": "off"})[1]["x-tt-cache-status"],
    ]

    assert statuses == ["bypass", "miss", "hit", "hit", "bypass"]


def test_a_keys_cache_is_switched_in_the_console(asker: Asker, customer: ConsoleUser) -> None:
    key = customer.create_key()
    asker.ask(key)

    customer.edit_key(key, cache=True)

    assert asker.ask(key)[1]["x-tt-cache-status"] == "miss"
    assert asker.ask(key)[1]["x-tt-cache-status"] == "hit"


def test_no_store_keeps_nothing_and_no_cache_asks_the_provider_again(asker: Asker, key: ApiKey) -> None:
    def status(directive: str = "") -> str:
        return asker.ask(key, headers={"Cache-Control": directive} if directive else None)[1]["x-tt-cache-status"]

    assert [status("no-store"), status(), status()] == ["miss", "miss", "hit"]
    assert asker.served == 2
    assert status("max-age=0, no-cache") == "bypass"
    assert asker.served == 3
    assert [status("no-store"), status()] == ["hit", "hit"]


def test_another_accounts_answer_is_never_given(product: Product, asker: Asker, key: ApiKey) -> None:
    stranger = product.new_customer().create_key(cache=True)

    asker.ask(key)

    assert asker.ask(stranger)[1]["x-tt-cache-status"] == "miss"
    assert asker.served == 2


def test_embeddings_are_cached_too(product: Product, customer: ConsoleUser, key: ApiKey) -> None:
    with product.openai(key) as client:
        first, again = (
            client.embeddings.with_raw_response.create(model="nomic-embed-text", input="some text") for _ in range(2)
        )

    assert [raw.headers["x-tt-cache-status"] for raw in (first, again)] == ["miss", "hit"]
    assert again.parse().data[0].embedding == first.parse().data[0].embedding
    assert [call["outcome"] for call in customer.usage(2)] == ["succeeded", "succeeded"]


@pytest.mark.parametrize(
    "switches", [{"fail_status": 400}, {"error_after_chunks": 3}, {"truncate": True}, {"omit_usage": True}]
)
def test_answers_that_are_not_whole_are_not_kept(
    product: Product, model: str, key: ApiKey, switches: dict[str, Any]
) -> None:
    body = {"model": model, "messages": HELLO, "stream": True, "sandbox": {"output_tokens": 5, **switches}}
    for _ in range(2):
        answer = httpx.post(
            f"{product.base_url()}/chat/completions",
            headers={"Authorization": f"Bearer {key.plaintext}"},
            json=body,
            trust_env=False,
        )
        assert answer.headers["x-tt-cache-status"] == "miss"


def test_an_answer_that_the_wallet_cut_short_is_not_kept(product: Product) -> None:
    # given a wallet that covers half of what is asked for
    model = product.new_model(input_usd="0", output_usd="1000")  # $0.001 a token
    poor = product.new_customer("0.50")
    key = poor.create_key(cache=True)

    # when the same is asked again with enough in it
    with product.openai(key) as client:
        body: Any = {"model": model, "messages": HELLO, "max_tokens": 1_000}
        extra = {"sandbox": {"output_tokens": 900}}
        cut = client.chat.completions.with_raw_response.create(**body, extra_body=extra).parse()
        product.operator.credit(poor.account_id, "2.00")
        again = client.chat.completions.with_raw_response.create(**body, extra_body=extra)

    assert cut.choices[0].finish_reason == "length"
    assert again.headers["x-tt-cache-status"] == "miss"
    assert again.parse().choices[0].finish_reason == "stop"


def test_a_hit_needs_a_wallet_and_limits_as_any_call(product: Product, model: str) -> None:
    # given an answer in the cache and a wallet that holds less than a hit costs
    poor = product.new_customer("0.02")
    asker = Asker(product, model, poor)
    asker.ask(poor.create_key(cache=True), max_tokens=OUTPUT_TOKENS)
    product.operator.credit(poor.account_id, f"-{Decimal(poor.settled_balance_nanousd() - 50_000) / 10**9}")

    with pytest.raises(openai.APIStatusError) as raised:
        asker.ask(poor.create_key(cache=True), max_tokens=OUTPUT_TOKENS)
    assert (raised.value.status_code, raised.value.code) == (402, "billing_shortfall")
    assert raised.value.response.headers["x-tt-cache-status"] == "hit"

    product.operator.credit(poor.account_id, "0.02")
    limited = poor.create_key(cache=True, requests_per_minute=1)
    assert asker.ask(limited, max_tokens=OUTPUT_TOKENS)[1]["x-tt-cache-status"] == "hit"
    with pytest.raises(openai.RateLimitError):
        asker.ask(limited, max_tokens=OUTPUT_TOKENS)
    assert asker.served == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_hit_under_an_idempotency_key_is_replayed_and_charged_once(
    asker: Asker, customer: ConsoleUser, key: ApiKey, stream: bool
) -> None:
    asker.ask(key)
    headers = {"Idempotency-Key": "order 17"}

    hit, hit_headers = asker.ask(key, stream=stream, headers=headers)
    replay, replay_headers = asker.ask(key, stream=stream, headers=headers, edge=1)

    assert hit_headers["x-tt-cache-status"] == "hit"
    assert "x-tt-idempotent-replay" not in hit_headers
    assert replay_headers["x-tt-idempotent-replay"] == "true"
    assert replay_headers["x-request-id"] == hit_headers["x-request-id"]
    assert replay == hit
    assert sorted(call["cost_nanousd"] for call in customer.charges()) == [HIT_NANOUSD, MISS_NANOUSD]


def test_a_providers_own_prompt_cache_is_told_in_the_headers(
    product: Product, model: str, customer: ConsoleUser
) -> None:
    switches = {**SWITCHES, "cached_tokens": 600}
    with product.openai(customer.create_key()) as client:
        raw = client.chat.completions.with_raw_response.create(
            model=model, messages=HELLO, extra_body={"sandbox": switches}
        )

    assert raw.headers["x-tt-cache-status"] == "bypass"
    assert raw.headers["x-tt-cache-read-tokens"] == "600"
    assert Decimal(raw.headers["x-tt-cache-saved"]) * 10**9 == 600 * 900


def test_a_dry_run_leaves_the_cache_alone(product: Product, asker: Asker, key: ApiKey, model: str) -> None:
    asker.ask(key)
    answer = httpx.post(
        f"{product.base_url()}/chat/completions",
        headers={"Authorization": f"Bearer {key.plaintext}", "X-TT-Dry-Run": "true"},
        json={"model": model, "messages": HELLO, "sandbox": {**SWITCHES, "label": asker.label}},
        trust_env=False,
    )
    assert answer.json()["object"] == "dry_run"
    assert answer.headers["x-tt-cache-status"] == "bypass"


def test_without_nats_a_known_answer_is_a_hit_and_an_unknown_one_a_miss_that_is_served(
    product: Product, asker: Asker, key: ApiKey
) -> None:
    asker.ask(key)
    product.stack.nats.kill()
    try:
        known = asker.ask(key)[1]
        unknown = asker.ask(key, temperature=0.25)[1]
    finally:
        product.stack.nats.start()
        for edge in product.stack.edges:
            edge.wait_ready()

    assert (known["x-tt-cache-status"], unknown["x-tt-cache-status"]) == ("hit", "miss")
    assert asker.served == 2


def test_a_hit_is_fast(product: Product, model: str, key: ApiKey, capsys: pytest.CaptureFixture[str]) -> None:
    body = {"model": model, "messages": HELLO, "sandbox": {**SWITCHES, "label": f"fast-{key.id}"}}
    with httpx.Client(
        base_url=product.base_url(), headers={"Authorization": f"Bearer {key.plaintext}"}, trust_env=False
    ) as http:
        http.post("/chat/completions", json=body)
        answers: list[tuple[float, httpx.Response]] = []
        for _ in range(HIT_CALLS):
            began = time.perf_counter()
            answer = http.post("/chat/completions", json=body)
            answers.append(((time.perf_counter() - began) * 1000, answer))

    assert {answer.headers["x-tt-cache-status"] for _, answer in answers} == {"hit"}
    own = statistics.median(float(answer.headers["x-tt-overhead-ms"]) for _, answer in answers)
    with capsys.disabled():
        sys.stdout.write(f"\nhit: {statistics.median(took for took, _ in answers):.2f} ms, {own:.3f} ms in the edge\n")
    assert own < 50
