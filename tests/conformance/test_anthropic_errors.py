"""Errors, headers, counts and lists as Anthropic's own SDK reads them."""

from typing import Any

import anthropic
import pytest
from anthropic import Anthropic

from tests.conformance.claude import HELLO, say_whole
from tests.support.console import ApiKey, ConsoleUser
from tests.support.product import Product


def test_the_providers_refusal_keeps_its_words_and_has_our_id(claude: Anthropic, claude_model: str) -> None:
    with pytest.raises(anthropic.BadRequestError, match="first message must use") as raised:
        say_whole(claude, claude_model, messages=[{"role": "assistant", "content": "hi"}])

    body: Any = raised.value.body
    assert raised.value.request_id == body["request_id"] == raised.value.response.headers["x-tt-request-id"]


@pytest.mark.parametrize(
    ("fields", "error", "kind"),
    [
        ({"model": "no-such-model"}, anthropic.NotFoundError, "not_found_error"),
        ({"messages": []}, anthropic.BadRequestError, "invalid_request_error"),
        ({"max_tokens": -1}, anthropic.BadRequestError, "invalid_request_error"),
    ],
)
def test_our_own_refusals_are_of_the_sdks_class(
    claude: Anthropic, claude_model: str, fields: dict[str, Any], error: type[anthropic.APIStatusError], kind: str
) -> None:
    with pytest.raises(error) as raised:
        claude.messages.create(**{"model": claude_model, "max_tokens": 5, "messages": HELLO, **fields})

    body: Any = raised.value.body
    assert body["error"]["type"] == raised.value.type == kind


def test_a_wrong_key_an_empty_wallet_and_a_limit_have_their_own_types(product: Product, claude_model: str) -> None:
    poor = product.new_customer(None)
    limited = product.new_customer().create_key(requests_per_minute=1)
    raised: list[anthropic.APIStatusError] = []
    for key in ("sk-wrong", poor.create_key(), limited, limited):
        with product.anthropic(key) as client:
            try:
                say_whole(client, claude_model)
            except anthropic.APIStatusError as error:
                raised.append(error)

    assert [(error.status_code, error.type) for error in raised] == [
        (401, "authentication_error"),
        (402, "billing_error"),
        (429, "rate_limit_error"),
    ]
    headers = raised[-1].response.headers
    assert (headers["anthropic-ratelimit-requests-limit"], headers["anthropic-ratelimit-requests-remaining"]) == (
        "1",
        "0",
    )
    assert headers["anthropic-ratelimit-requests-reset"].endswith("Z")
    assert int(headers["retry-after"]) >= 1


def test_providers_that_are_overloaded_are_an_overloaded_error(product: Product, key: ApiKey, new_claude: Any) -> None:
    model = new_claude()
    product.provider.set_fault(model, fail_status=529)

    with product.anthropic(key) as client, pytest.raises(anthropic.APIStatusError) as raised:
        say_whole(client, model)

    assert (raised.value.status_code, raised.value.type) == (503, "overloaded_error")


def test_an_answer_shows_our_limits_and_never_the_accounts_at_the_vendor(
    product: Product, customer: ConsoleUser, claude_model: str
) -> None:
    with product.anthropic(customer.create_key(tokens_per_minute=50_000)) as client:
        headers = client.messages.with_raw_response.create(model=claude_model, max_tokens=50, messages=HELLO).headers

    assert headers["request-id"] == headers["x-tt-request-id"]
    assert headers["anthropic-ratelimit-tokens-limit"] == "50000"
    assert "anthropic-ratelimit-input-tokens-limit" not in headers
    assert "anthropic-organization-id" not in headers


def test_a_wrong_path_is_told_the_right_one_in_anthropics_shape(product: Product, key: ApiKey) -> None:
    base = f"{product.stack.edge_urls[0]}/v1"
    with product.anthropic(key, base_url=base) as client, pytest.raises(anthropic.NotFoundError) as raised:
        client.messages.count_tokens(model="any", messages=HELLO)

    assert "The path is /v1/messages/count_tokens; the base URL ends without /v1" in raised.value.message
    assert raised.value.type == "not_found_error"
    assert raised.value.request_id


# -- what is free -------------------------------------------------------------------------------------------------------


def test_counting_is_the_providers_own_and_free(product: Product, claude_model: str) -> None:
    customer = product.new_customer(None)
    with product.anthropic(customer.create_key()) as client:
        counted = client.messages.count_tokens(
            model=claude_model, messages=HELLO, extra_body={"sandbox": {"prompt_tokens": 4321}}
        )

    assert counted.input_tokens == 4321
    assert customer.pages("/usage") == []


def test_counting_is_ours_where_the_model_speaks_another_dialect_or_nobody_answers(
    product: Product, claude: Anthropic, new_claude: Any
) -> None:
    down = new_claude()
    product.provider.set_fault(down, fail_status=500)

    for model in ("gpt-4o-mini", down):
        assert 0 < claude.messages.count_tokens(model=model, messages=HELLO).input_tokens < 20


def test_what_can_not_be_counted_is_refused(claude: Anthropic, claude_model: str) -> None:
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.count_tokens(model="no-such-model", messages=HELLO)
    with pytest.raises(anthropic.BadRequestError, match="embedding"):
        claude.messages.count_tokens(model="text-embedding-3-small", messages=HELLO)
    with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
        thought = {"type": "thinking", "thinking": "x", "signature": "forged"}
        turns: Any = [*HELLO, {"role": "assistant", "content": [thought]}, *HELLO]
        claude.messages.count_tokens(model=claude_model, messages=turns)


def test_models_are_listed_in_pages_in_anthropics_form(claude: Anthropic, claude_model: str) -> None:
    listed = list(claude.models.list(limit=2))
    one = claude.models.retrieve(claude_model)

    ids = [model.id for model in listed]
    assert ids == sorted(set(ids))
    assert claude_model in ids
    assert (one.type, one.id, one.max_tokens) == ("model", claude_model, 16_384)
    with pytest.raises(anthropic.NotFoundError):
        claude.models.retrieve("no-such-model")
