"""What a provider does wrong, as the caller sees it: its own refusals word for word, its troubles with the operator never."""

from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.conformance.test_chat import HELLO, MODEL
from tests.support.product import Product
from tests.support.scripted_provider import ScriptedProvider


def _call(client: OpenAI, model: str = MODEL, /, **switches: Any) -> Any:
    return client.chat.completions.create(
        model=model, messages=HELLO, max_tokens=10, extra_body={"sandbox": switches} if switches else None
    )


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (404, openai.NotFoundError),
        (413, openai.APIStatusError),
        (422, openai.UnprocessableEntityError),
    ],
)
def test_the_providers_own_refusal_is_relayed_with_its_message_and_not_charged(
    product: Product, status: int, error: type[openai.APIStatusError]
) -> None:
    customer = product.new_customer()
    message = f'The provider says "no" to this: {status} é'
    with product.openai(customer.create_key()) as client, pytest.raises(error) as raised:
        _call(client, fail_status=status, fail_message=message)

    assert raised.value.status_code == status
    body: Any = raised.value.body
    assert body["message"] == message
    (call,) = customer.usage(1)
    assert (call["outcome"], call["status"], call["cost_nanousd"]) == ("failed", status, 0)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_the_operators_troubles_with_a_provider_are_never_shown(product: Product, status: int) -> None:
    model = product.new_model()
    with (
        product.openai(product.new_customer().create_key()) as client,
        pytest.raises(openai.InternalServerError) as raised,
    ):
        _call(client, model, fail_status=status, fail_message="your key sk-secret owes us money")

    assert raised.value.status_code == 503
    assert raised.value.code == "all_providers_unavailable"
    assert "sk-secret" not in raised.value.response.text


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_provider_that_is_down_or_limits_us_is_a_503_with_the_time_to_wait(product: Product, status: int) -> None:
    model = product.new_model()
    with (
        product.openai(product.new_customer().create_key()) as client,
        pytest.raises(openai.InternalServerError) as raised,
    ):
        _call(client, model, fail_status=status)

    assert (raised.value.status_code, raised.value.code) == (503, "all_providers_unavailable")
    assert int(raised.value.response.headers["retry-after"]) >= 1


def test_a_provider_that_talks_nonsense_is_a_502(product: Product) -> None:
    model = product.new_model()
    with (
        product.openai(product.new_customer().create_key()) as client,
        pytest.raises(openai.InternalServerError) as raised,
    ):
        _call(client, model, malformed=True)

    assert (raised.value.status_code, raised.value.code) == (502, "upstream_error")


def test_a_provider_that_cannot_be_reached_is_a_502(product: Product) -> None:
    product.operator.put_provider("unreachable", "http://127.0.0.1:9/v1")
    model = product.new_model(routes=[{"provider": "unreachable", "upstream_model": "any"}])
    with (
        product.openai(product.new_customer().create_key()) as client,
        pytest.raises(openai.InternalServerError) as raised,
    ):
        _call(client, model)

    assert (raised.value.status_code, raised.value.code) == (502, "upstream_error")


def test_a_provider_that_is_too_slow_is_a_504(product: Product) -> None:
    product.operator.put_provider(
        "impatient",
        product.stack.provider_url,
        key_ref="env:SANDBOX_API_KEY",
        connect_timeout_s=0.5,
        first_byte_timeout_s=0.5,
    )
    model = product.new_model(routes=[{"provider": "impatient", "upstream_model": "slow"}])
    customer = product.new_customer()
    with (
        product.openai(customer.create_key()) as client,
        pytest.raises(openai.InternalServerError) as raised,
    ):
        _call(client, model, hang=True)

    assert (raised.value.status_code, raised.value.code) == (504, "upstream_timeout")
    assert customer.settled_balance_nanousd() == 5 * 10**9


def test_the_sdks_own_timeout_is_its_timeout_error_and_costs_nothing(product: Product) -> None:
    customer = product.new_customer()
    with product.openai(customer.create_key(), timeout=0.5) as client, pytest.raises(openai.APITimeoutError):
        _call(client, hang=True)

    (call,) = customer.usage(1)
    assert (call["outcome"], call["cost_nanousd"]) == ("client_disconnected", 0)
    assert customer.settled_balance_nanousd() == 5 * 10**9


def test_a_providers_error_body_that_is_not_json_is_relayed_as_it_is(
    client: OpenAI, scripted: ScriptedProvider, scripted_model: str
) -> None:
    scripted.answer(b"<h1>Bad request</h1>", status=400, content_type="text/html")

    with pytest.raises(openai.BadRequestError) as raised:
        _call(client, scripted_model)

    assert "Bad request" in raised.value.response.text
