"""Response headers as the SDK's raw responses show them, and the dry run."""

import re
from decimal import Decimal
from typing import Any

import httpx
from openai import OpenAI

from tests.conformance.test_chat import HELLO, MODEL
from tests.support.console import ApiKey, ConsoleUser
from tests.support.product import Product

DURATION = re.compile(r"^(\d+ms|(\d+m)?\d+(\.\d+)?s)$")


def test_an_answer_names_its_request_its_hold_and_its_provider(client: OpenAI, customer: ConsoleUser) -> None:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO)

    headers = raw.headers
    assert headers["x-request-id"] == headers["x-tt-request-id"] == raw.parse()._request_id
    assert headers["x-tt-provider"] == "sandbox"
    assert float(headers["x-tt-overhead-ms"]) >= 0
    receipt = customer.receipt(headers["x-tt-request-id"])
    assert receipt["hold_id"] == headers["x-tt-hold-id"]


def test_rate_limit_headers_are_the_keys_own_limits_in_openais_form(product: Product, customer: ConsoleUser) -> None:
    with product.openai(customer.create_key(requests_per_minute=30, tokens_per_minute=100_000)) as client:
        first = client.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO, max_tokens=50).headers
        second = client.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO, max_tokens=50).headers

    assert first["x-ratelimit-limit-requests"] == "30"
    assert first["x-ratelimit-limit-tokens"] == "100000"
    assert int(first["x-ratelimit-remaining-requests"]) == 29
    assert int(second["x-ratelimit-remaining-requests"]) == 28
    assert 0 < int(second["x-ratelimit-remaining-tokens"]) < 100_000
    assert DURATION.match(first["x-ratelimit-reset-requests"])
    assert DURATION.match(first["x-ratelimit-reset-tokens"])


def test_a_key_without_limits_has_no_rate_limit_headers(client: OpenAI) -> None:
    headers = client.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO).headers

    assert not [name for name in headers if name.startswith("x-ratelimit")]


def test_streams_carry_the_headers_too(client: OpenAI) -> None:
    with client.chat.completions.with_streaming_response.create(model=MODEL, messages=HELLO, stream=True) as raw:
        headers = raw.headers

    assert headers["content-type"].startswith("text/event-stream")
    assert headers["x-request-id"] == headers["x-tt-request-id"]
    assert headers["x-tt-provider"] == "sandbox"


def test_errors_carry_a_request_id(product: Product, key: ApiKey) -> None:
    bearer = {"Authorization": f"Bearer {key.plaintext}"}
    base = product.base_url()
    with httpx.Client(headers=bearer, trust_env=False) as http:
        answers = [
            http.post(f"{base}/chat/completions", json={}),
            http.post(f"{base}/chat/completions", headers={"Authorization": "Bearer sk-no"}, json={}),
            http.post(f"{base}/nothing/here"),
            http.get(f"{base}/models/none"),
        ]

    assert [answer.status_code for answer in answers] == [400, 401, 404, 404]
    for answer in answers:
        assert answer.headers["x-request-id"] == answer.headers["x-tt-request-id"]


def test_a_dry_run_answers_its_exact_shape_calls_nothing_and_charges_nothing(product: Product) -> None:
    customer = product.new_customer("1.00")
    label = f"dry-{customer.account_id}"
    body: dict[str, Any] = {"model": MODEL, "messages": HELLO, "max_tokens": 100, "sandbox": {"label": label}}

    with product.openai(customer.create_key()) as client:
        raw: Any = client.with_options(default_headers={"X-TT-Dry-Run": "true"}).post(
            "/chat/completions", cast_to=httpx.Response, body=body
        )

    answer = raw.json()
    input_tokens = answer["estimate"]["input_tokens"]
    cost_usd = Decimal(input_tokens * 150 + 100 * 600) / 10**9
    assert answer == {
        "object": "dry_run",
        "model": MODEL,
        "provider": "sandbox",
        "estimate": {
            "input_tokens": input_tokens,
            "output_tokens": 100,
            "cost_usd": answer["estimate"]["cost_usd"],
            "price_version": f"{MODEL}@1",
        },
        "hold": {"id": raw.headers["x-tt-hold-id"], "amount_usd": answer["estimate"]["cost_usd"], "released": True},
        "balance_usd": "1.00",
    }
    assert 0 < input_tokens < 20
    assert Decimal(answer["estimate"]["cost_usd"]) == cost_usd
    assert customer.settled_balance_nanousd() == 10**9
    assert product.provider.calls(label=label) == []
    assert [entry["kind"] for entry in customer.entries() if "settle" in entry["kind"]] == []


def test_a_dry_run_fails_as_the_call_would(product: Product) -> None:
    poor = product.new_customer(None)
    with httpx.Client(
        headers={"Authorization": f"Bearer {poor.create_key().plaintext}", "X-TT-Dry-Run": "true"}, trust_env=False
    ) as http:
        url = f"{product.base_url()}/chat/completions"
        shortfall = http.post(url, json={"model": MODEL, "messages": HELLO})
        unknown = http.post(url, json={"model": "no-such-model", "messages": HELLO})
        invalid = http.post(url, json={"model": MODEL, "messages": []})

    assert [answer.status_code for answer in (shortfall, unknown, invalid)] == [402, 404, 400]
