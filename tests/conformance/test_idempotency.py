"""Idempotency-Key through the SDK: the same key and body give the same answer and one charge."""

import secrets
import threading
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.conformance.test_chat import HELLO, MODEL
from tests.support.console import ConsoleUser
from tests.support.product import Product
from tests.support.waiting import eventually


@pytest.fixture
def payer(product: Product) -> ConsoleUser:
    return product.new_customer()


@pytest.fixture
def idempotency_key() -> str:
    return f"order {secrets.token_hex(8)} / any header value"


def _call(client: OpenAI, idempotency_key: str, switches: dict[str, Any] | None = None, **fields: Any) -> Any:
    """The raw response."""
    body = {"model": MODEL, "messages": HELLO, **fields}
    return client.chat.completions.with_raw_response.create(
        **body, extra_headers={"Idempotency-Key": idempotency_key}, extra_body={"sandbox": switches or {}}
    )


def test_a_replay_is_the_same_answer_flagged_and_charged_once(
    product: Product, payer: ConsoleUser, idempotency_key: str
) -> None:
    key = payer.create_key()
    with product.openai(key) as client, product.openai(key, edge=1) as elsewhere:
        first = _call(client, idempotency_key)
        again = _call(client, idempotency_key)
        there = _call(elsewhere, idempotency_key)

    assert "x-tt-idempotent-replay" not in first.headers
    for replay in (again, there):
        assert replay.headers["x-tt-idempotent-replay"] == "true"
        assert replay.content == first.content
        assert replay.headers["x-request-id"] == first.headers["x-request-id"]
    assert len(payer.charges()) == 1


def test_a_streams_replay_is_the_same_stream(product: Product, payer: ConsoleUser, idempotency_key: str) -> None:
    def stream(client: OpenAI) -> tuple[list[Any], Any]:
        with client.chat.completions.create(
            model=MODEL,
            messages=HELLO,
            stream=True,
            stream_options={"include_usage": True},
            extra_headers={"Idempotency-Key": idempotency_key},
        ) as chunks:
            return [chunk.to_dict() for chunk in chunks], chunks.response.headers

    with product.openai(payer.create_key()) as client:
        first, first_headers = stream(client)
        again, again_headers = stream(client)

    assert len(first) > 5
    assert again == first
    assert "x-tt-idempotent-replay" not in first_headers
    assert again_headers["x-tt-idempotent-replay"] == "true"
    assert again_headers["content-type"] == first_headers["content-type"]
    assert len(payer.charges()) == 1


def test_the_same_key_with_another_body_is_refused(product: Product, payer: ConsoleUser, idempotency_key: str) -> None:
    with product.openai(payer.create_key(), max_retries=3) as client:
        _call(client, idempotency_key)
        with pytest.raises(openai.UnprocessableEntityError) as raised:
            _call(client, idempotency_key, temperature=0.5)

    assert raised.value.code == "idempotency_conflict"
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert len(payer.charges()) == 1


def test_one_customers_key_says_nothing_about_anothers(
    product: Product, payer: ConsoleUser, idempotency_key: str
) -> None:
    other = product.new_customer()
    with product.openai(payer.create_key()) as client, product.openai(other.create_key()) as stranger:
        _call(client, idempotency_key)
        answer = _call(stranger, idempotency_key, temperature=0.5)

    assert "x-tt-idempotent-replay" not in answer.headers


def test_while_the_first_runs_the_second_is_a_conflict_error_and_the_sdks_retry_gets_the_replay(
    product: Product, payer: ConsoleUser, idempotency_key: str
) -> None:
    label = f"slow-{payer.account_id}"
    switches = {"delay_ms": 1_500, "label": label}
    key = payer.create_key()
    with product.openai(key) as client, product.openai(key, edge=1, max_retries=3) as patient:
        first = threading.Thread(target=_call, args=(client, idempotency_key, switches))
        first.start()
        try:
            eventually(lambda: product.provider.calls(label=label), "the first call at the provider")
            with pytest.raises(openai.ConflictError) as raised:
                _call(client, idempotency_key, switches)
            replay = _call(patient, idempotency_key, switches)
        finally:
            first.join()

    assert raised.value.code == "idempotency_in_progress"
    assert int(raised.value.response.headers["retry-after"]) >= 1
    assert replay.headers["x-tt-idempotent-replay"] == "true"
    assert len(product.provider.calls(label=label)) == 1
    assert len(payer.charges()) == 1


def test_a_call_whose_client_went_away_runs_to_its_end_and_the_retry_finds_the_answer(
    product: Product, payer: ConsoleUser, idempotency_key: str
) -> None:
    label = f"left-{payer.account_id}"
    switches = {"delay_ms": 3_000, "label": label}  # longer than the two seconds of a plain drain
    key = payer.create_key()
    with product.openai(key, timeout=0.5) as hasty, pytest.raises(openai.APITimeoutError):
        _call(hasty, idempotency_key, switches)

    with product.openai(key, max_retries=4) as patient:
        answer = _call(patient, idempotency_key, switches)

    assert answer.headers["x-tt-idempotent-replay"] == "true"
    assert [call["completed"] for call in product.provider.calls(label=label)] == [True]
    assert len(payer.charges()) == 1


def test_after_a_402_the_key_is_free_again(product: Product, idempotency_key: str) -> None:
    poor = product.new_customer(None)
    with product.openai(poor.create_key()) as client:
        with pytest.raises(openai.APIStatusError) as raised:
            _call(client, idempotency_key)
        product.operator.credit(poor.account_id, "1.00")
        answer = _call(client, idempotency_key)

    assert raised.value.status_code == 402
    assert "x-tt-idempotent-replay" not in answer.headers
    assert len(poor.charges()) == 1


def test_after_a_429_the_key_is_free_again(product: Product, payer: ConsoleUser, idempotency_key: str) -> None:
    label = f"busy-{payer.account_id}"
    with product.openai(payer.create_key(concurrency=1)) as client:
        busy = threading.Thread(target=_call, args=(client, "another", {"delay_ms": 800, "label": label}))
        busy.start()
        try:
            eventually(lambda: product.provider.calls(label=label), "the only slot taken")
            with pytest.raises(openai.RateLimitError) as raised:
                _call(client, idempotency_key)
        finally:
            busy.join()
        answer = _call(client, idempotency_key)

    assert raised.value.type == "concurrency"
    assert "x-tt-idempotent-replay" not in answer.headers
    assert len(payer.charges()) == 2


def test_after_a_5xx_the_key_is_free_again(product: Product, payer: ConsoleUser, idempotency_key: str) -> None:
    model = product.new_model()
    switches = {"fail_times": 1, "fail_key": idempotency_key}
    with product.openai(payer.create_key()) as client:
        with pytest.raises(openai.InternalServerError):
            _call(client, idempotency_key, switches, model=model)
        answer = _call(client, idempotency_key, switches, model=model)

    assert answer.http_response.status_code == 200
    assert "x-tt-idempotent-replay" not in answer.headers
    assert len(payer.charges()) == 1
