"""Each error class: the status, the code, the message, and the SDK's own exception type for it."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from tests.conformance.test_chat import HELLO, MODEL
from tests.support.console import ApiKey, ConsoleUser
from tests.support.product import SANDBOX, Product

MIB = 1024 * 1024


def _call(client: OpenAI, model: str = MODEL, /, **switches: Any) -> Any:
    return client.chat.completions.create(
        model=model, messages=HELLO, max_tokens=10, extra_body={"sandbox": switches} if switches else None
    )


# -- 400, 404, 413: the request ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("messages", []),
        ("messages", "hello"),
        ("messages", ["hello"]),
        ("n", 0),
        ("n", "two"),
        ("max_tokens", 0),
        ("max_completion_tokens", 1.5),
        ("stream", "yes"),
        ("stream_options", {"include_usage": True}),
        ("model", ""),
        ("model", 7),
    ],
)
def test_a_field_that_is_wrong_is_named(client: OpenAI, field: str, value: Any) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.post("/chat/completions", cast_to=object, body={"model": MODEL, "messages": HELLO, field: value})

    assert raised.value.param == field
    assert raised.value.type == "invalid_request_error"


def test_a_missing_model_is_named(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.post("/chat/completions", cast_to=object, body={"messages": HELLO})

    assert raised.value.param == "model"


@pytest.mark.parametrize("value", [[], "", {"a": 1}, None, [1.5]], ids=str)
def test_a_wrong_embedding_input_is_named(client: OpenAI, value: Any) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.post("/embeddings", cast_to=object, body={"model": "text-embedding-3-small", "input": value})

    assert raised.value.param == "input"


@pytest.mark.parametrize(
    "body", [b"{", b"", b"[]", b'"text"', b"\xff\xfe{}", b'{"model":"gpt-4o-mini","messages":[}'], ids=repr
)
def test_malformed_json_is_a_bad_request(client: OpenAI, body: bytes) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.post(
            "/chat/completions", cast_to=object, content=body, options={"headers": {"Content-Type": "application/json"}}
        )

    assert "JSON" in raised.value.message


def test_a_chat_model_is_refused_for_embeddings_with_the_reason(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="model for chat") as raised:
        client.embeddings.create(model=MODEL, input="text")

    assert raised.value.param == "model"


def test_an_unknown_model_is_not_found_and_the_list_is_pointed_at(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="GET /v1/models") as raised:
        _call(client, "gpt-9")

    assert raised.value.code == "model_not_found"


@pytest.mark.parametrize("path", ["", "/v1/v1"], ids=["without /v1", "with /v1 twice"])
def test_a_wrong_base_url_is_told_the_right_path(product: Product, key: ApiKey, path: str) -> None:
    with (
        product.openai(key, base_url=product.stack.edge_urls[0] + path) as client,
        pytest.raises(openai.NotFoundError) as raised,
    ):
        _call(client)

    assert f"POST {path}/chat/completions" in raised.value.message
    assert "The path is /v1/chat/completions" in raised.value.message


def test_a_body_over_the_limit_is_refused_with_413(client: OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "x" * (21 * MIB)}])

    assert raised.value.status_code == 413
    assert raised.value.code == "request_too_large"


def test_a_body_just_under_the_limit_is_read(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.post("/chat/completions", cast_to=object, body={"model": MODEL, "messages": [], "x": "x" * (19 * MIB)})

    assert raised.value.param == "messages"


def test_a_get_on_a_post_path_is_told_so(product: Product, key: ApiKey) -> None:
    answer = httpx.get(
        f"{product.base_url()}/chat/completions",
        headers={"Authorization": f"Bearer {key.plaintext}"},
        trust_env=False,
    )

    assert answer.status_code == 405
    assert "use POST" in answer.json()["error"]["message"]


# -- 401, 403: the key ------------------------------------------------------------------------------------------------


def _refused(product: Product, plaintext: str) -> openai.AuthenticationError:
    with product.openai(plaintext) as client, pytest.raises(openai.AuthenticationError) as raised:
        _call(client)
    assert raised.value.code == "invalid_api_key"
    return raised.value


def test_an_unknown_key_is_refused(product: Product) -> None:
    assert "Incorrect API key" in _refused(product, "sk-unknown").message


def test_a_missing_key_is_refused_and_the_header_is_named(product: Product) -> None:
    answer = httpx.post(f"{product.base_url()}/chat/completions", json={"model": MODEL}, trust_env=False)

    assert answer.status_code == 401
    assert "Authorization: Bearer KEY" in answer.json()["error"]["message"]


def test_whitespace_around_a_good_key_is_named(product: Product, key: ApiKey) -> None:
    assert "whitespace" in _refused(product, f" {key.plaintext}").message
    assert "whitespace" in _refused(product, f"{key.plaintext[:20]} {key.plaintext[20:]}").message


@pytest.mark.parametrize(
    ("change", "word"), [("disable_key", "disabled"), ("rotate_key", "rotated"), ("delete_key", "deleted")]
)
def test_a_key_that_is_no_longer_good_is_told_why(
    product: Product, customer: ConsoleUser, change: str, word: str
) -> None:
    key = customer.create_key()
    with product.openai(key) as client:
        _call(client)
    getattr(customer, change)(key)
    time.sleep(1.0)

    assert word in _refused(product, key.plaintext).message


def test_an_expired_key_is_told_so(product: Product, customer: ConsoleUser) -> None:
    expires_at = datetime.now(UTC) + timedelta(seconds=1.5)
    key = customer.create_key(expires_at=expires_at.isoformat())
    with product.openai(key) as client:
        _call(client)
    time.sleep(max(0.0, (expires_at - datetime.now(UTC)).total_seconds()))

    assert "expired" in _refused(product, key.plaintext).message


def test_a_model_outside_the_keys_list_is_forbidden(product: Product, customer: ConsoleUser) -> None:
    with (
        product.openai(customer.create_key(models=["gpt-4o"])) as client,
        pytest.raises(openai.PermissionDeniedError, match=MODEL) as raised,
    ):
        _call(client)

    assert raised.value.code == "model_not_allowed"


def test_an_address_outside_the_keys_list_is_forbidden_whatever_it_claims(
    product: Product, customer: ConsoleUser
) -> None:
    elsewhere = customer.create_key(ip_ranges=["10.0.0.0/8"])
    here = customer.create_key(ip_ranges=["127.0.0.1", "10.0.0.0/8"])

    with product.openai(here) as client:
        _call(client)
    with (
        product.openai(elsewhere, default_headers={"X-Forwarded-For": "10.0.0.1"}) as client,
        pytest.raises(openai.PermissionDeniedError, match=r"127\.0\.0\.1") as raised,
    ):
        _call(client)

    assert raised.value.code == "model_not_allowed"


# -- 402, 429: limits -------------------------------------------------------------------------------------------------


def test_a_shortfall_says_how_much_is_missing_and_the_sdk_does_not_retry(product: Product) -> None:
    model = product.new_model(input_usd="0", output_usd="1000")  # $0.001 a token
    customer = product.new_customer("0.25")
    requests: list[Any] = []
    http = openai.DefaultHttpxClient(trust_env=False, event_hooks={"request": [requests.append]})

    with (
        product.openai(customer.create_key(), max_retries=5, http_client=http) as client,
        pytest.raises(openai.APIStatusError) as raised,
    ):
        client.chat.completions.create(model=model, messages=HELLO, max_tokens=255 + 45)

    assert raised.value.status_code == 402
    assert (raised.value.type, raised.value.code) == ("insufficient_quota", "billing_shortfall")
    assert "$0.05 is missing" in raised.value.message
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert len(requests) == 1
    assert product.provider.calls(model=model) == []
    assert customer.settled_balance_nanousd() == 250_000_000


def test_an_empty_wallet_is_a_shortfall(product: Product) -> None:
    with (
        product.openai(product.new_customer(None).create_key()) as client,
        pytest.raises(openai.APIStatusError) as raised,
    ):
        _call(client)

    assert (raised.value.status_code, raised.value.code) == (402, "billing_shortfall")


def test_too_many_requests_are_a_rate_limit_error_with_the_time_to_wait(
    product: Product, customer: ConsoleUser
) -> None:
    with product.openai(customer.create_key(requests_per_minute=2)) as client:
        _call(client)
        _call(client)
        with pytest.raises(openai.RateLimitError) as raised:
            _call(client)

    assert raised.value.code == "rate_limit_exceeded"
    assert raised.value.type == "requests"
    assert 1 <= int(raised.value.response.headers["retry-after"]) <= 60


def test_too_many_tokens_are_a_rate_limit_error(product: Product, customer: ConsoleUser) -> None:
    with (
        product.openai(customer.create_key(tokens_per_minute=200)) as client,
        pytest.raises(openai.RateLimitError) as raised,
    ):
        client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=500)

    assert raised.value.type == "tokens"


# -- all of them


def test_error_bodies_have_the_four_fields_of_openai(product: Product) -> None:
    answer = httpx.post(
        f"{product.base_url()}/chat/completions",
        headers={"Authorization": "Bearer sk-no"},
        content=json.dumps({"model": MODEL}),
        trust_env=False,
    )

    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    assert SANDBOX not in answer.text
