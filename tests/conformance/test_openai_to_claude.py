"""OpenAI's SDK to a model whose provider speaks Anthropic's dialect: what OpenAI's words can say works, and every class is billed."""

import json
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.conformance.claude import HELLO, cost_of
from tests.conformance.test_chat import WEATHER
from tests.support.product import Product

QUESTION: Any = {"role": "user", "content": "What is the weather? Use the tool."}


def _said(client: OpenAI, stream: bool, **fields: Any) -> Any:
    """The message, as the SDK puts it together."""
    if not stream:
        return client.chat.completions.create(**fields).choices[0]
    with client.chat.completions.stream(**fields) as events:
        return events.get_final_completion().choices[0]


@pytest.fixture(params=[False, True], ids=["whole", "stream"])
def stream(request: pytest.FixtureRequest) -> bool:
    return request.param


def test_a_chat_with_everything_is_answered(client: OpenAI, claude_model: str, stream: bool) -> None:
    messages: Any = [{"role": "developer", "content": "Be brief."}, *HELLO]

    said = _said(client, stream, model=claude_model, messages=messages, temperature=0.5, stop="END", user="u1")

    assert said.message.content
    assert said.finish_reason == "stop"


@pytest.mark.parametrize("redacted", [False, True])
def test_pitfall_10_thoughts_go_back_with_the_calls_and_are_known_again(
    product: Product, client: OpenAI, new_claude: Any, stream: bool, redacted: bool
) -> None:
    # given a model that thinks and calls two tools at once
    model = new_claude()
    product.provider.set_fault(model, reasoning_tokens=3, tool_calls=2, redact_thinking=redacted or None)
    fields: dict[str, Any] = {"model": model, "tools": [WEATHER], "reasoning_effort": "low"}
    # when the results go back with the message as the SDK has it
    first = _said(client, stream, messages=[QUESTION], **fields)
    assert first.finish_reason == "tool_calls"
    assert [json.loads(call.function.arguments)["city"] for call in first.message.tool_calls] == ["Paris", "Paris"]
    results = [{"role": "tool", "tool_call_id": call.id, "content": "21"} for call in first.message.tool_calls]
    turns = [QUESTION, first.message.to_dict(), *results]
    second = _said(client, stream, messages=turns, **fields)
    # then the provider, which checks every signature, goes on
    assert second.finish_reason == "stop"


def test_each_class_of_tokens_is_billed_at_its_price(product: Product, new_claude: Any, stream: bool) -> None:
    model, customer = new_claude(), product.new_customer()
    product.provider.set_fault(
        model,
        prompt_tokens=1000,
        cached_tokens=300,
        cache_write_5m_tokens=200,
        cache_write_1h_tokens=100,
        output_tokens=40,
        reasoning_tokens=10,
    )

    with product.openai(customer.create_key()) as client:
        fields: dict[str, Any] = {"model": model, "messages": HELLO, "reasoning_effort": "low"}
        if stream:
            *_, last = client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **fields)
        else:
            last = client.chat.completions.create(**fields)

    (served,) = product.provider.calls(model=model)
    (charge,) = customer.charges()
    assert charge["cost_nanousd"] == cost_of(served["usage"])
    usage = last.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens) == (1000, 300)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"error_after_chunks": 3}, "all_providers_unavailable"),
        ({"die_after_chunks": 3}, "upstream_error"),
        ({"truncate": True}, "upstream_error"),
    ],
)
def test_pitfall_20_a_stream_that_breaks_is_an_error_and_no_answer(
    product: Product, client: OpenAI, new_claude: Any, fault: dict[str, Any], code: str
) -> None:
    model = new_claude()
    product.provider.set_fault(model, output_tokens=9, **fault)

    with pytest.raises(openai.APIError) as raised:
        list(client.chat.completions.create(model=model, messages=HELLO, stream=True))

    assert raised.value.code == code


@pytest.mark.parametrize(
    ("field", "value"),
    [("n", 2), ("seed", 1), ("temperature", 1.5), ("response_format", {"type": "json_object"}), ("logprobs", True)],
)
def test_a_field_that_claude_lacks_is_named(client: OpenAI, claude_model: str, field: str, value: Any) -> None:
    with pytest.raises(openai.BadRequestError, match=f"'{field}'") as raised:
        client.chat.completions.create(model=claude_model, messages=HELLO, extra_body={field: value})

    assert raised.value.param == field


def test_what_the_provider_itself_refuses_is_told_in_openais_shape(client: OpenAI, claude_model: str) -> None:
    messages: Any = [*HELLO, {"role": "tool", "tool_call_id": "nobody", "content": "x"}]

    with pytest.raises(openai.BadRequestError, match="unexpected `tool_use_id`"):
        client.chat.completions.create(model=claude_model, messages=messages)


def test_structured_output_and_a_refusal_come_back(product: Product, client: OpenAI, new_claude: Any) -> None:
    model = new_claude()
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    output: Any = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}

    said = _said(client, False, model=model, messages=HELLO, response_format=output)
    product.provider.set_fault(model, finish="refusal")
    refused = _said(client, False, model=model, messages=HELLO)

    assert "city" in json.loads(said.message.content)
    assert refused.finish_reason == "content_filter"
