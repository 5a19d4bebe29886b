"""Anthropic's SDK to a model whose provider speaks OpenAI's dialect: what Anthropic's words can say works, and is billed."""

from typing import Any

import anthropic
import pytest
from anthropic import Anthropic

from tests.conformance.claude import HELLO, WEATHER, say_whole, streamed
from tests.support.product import Product

MODEL = "gpt-4o-mini"
QUESTION: Any = {"role": "user", "content": "What is the weather? Use the tool."}


@pytest.fixture(params=["whole", "stream"])
def say(request: pytest.FixtureRequest) -> Any:
    """The same question, without a stream and with one."""

    return say_whole if request.param == "whole" else streamed


def test_a_message_with_everything_is_answered(claude: Anthropic, say: Any) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    content = [{"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}}, picture]

    message = say(
        claude,
        MODEL,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        messages=[{"role": "user", "content": content}],
        metadata={"user_id": "u1"},
        stop_sequences=["END"],
    )

    assert (message.type, message.model, message.stop_reason) == ("message", MODEL, "end_turn")
    assert message.content[0].text
    assert message.usage.output_tokens > 0


def test_tools_run_and_their_results_go_back(claude: Anthropic, say: Any) -> None:
    first = say(claude, MODEL, messages=[QUESTION], tools=[WEATHER], tool_choice={"type": "any"})
    (call,) = [block for block in first.content if block.type == "tool_use"]
    assert (first.stop_reason, call.name, call.input) == ("tool_use", "get_weather", {"city": "Paris"})

    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "21"}, picture]}
    turns = [QUESTION, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]

    none = {"type": "none"}
    assert say(claude, MODEL, messages=turns, tools=[WEATHER], tool_choice=none).stop_reason == "end_turn"


def test_a_limit_and_structured_output_hold(claude: Anthropic, say: Any) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    output = {"format": {"type": "json_schema", "schema": schema}}

    assert say(claude, MODEL, max_tokens=2).stop_reason == "max_tokens"
    assert say(claude, MODEL, output_config=output).content[0].text.startswith("{")


def test_what_was_used_is_told_and_billed(product: Product, say: Any) -> None:
    model, customer = product.new_model(cache_read_usd="0.5"), product.new_customer()
    product.provider.set_fault(model, prompt_tokens=1000, cached_tokens=300, output_tokens=40, reasoning_tokens=10)

    with product.anthropic(customer.create_key()) as client:
        message = say(client, model)

    (served,) = product.provider.calls(model=model)
    (charge,) = customer.charges()
    used = served["usage"]
    assert charge["cost_nanousd"] == used["input"] * 1000 + used["cache_read"] * 500 + used["output"] * 2000
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (700, 300)
    assert message.usage.output_tokens == used["output"]


@pytest.mark.parametrize("fault", [{"error_after_chunks": 3}, {"die_after_chunks": 3}, {"truncate": True}])
def test_pitfall_20_a_stream_that_breaks_never_ends_a_turn(
    product: Product, claude: Anthropic, fault: dict[str, Any]
) -> None:
    model = product.new_model()
    product.provider.set_fault(model, output_tokens=9, **fault)
    seen: list[str] = []

    with pytest.raises(anthropic.APIStatusError) as raised:
        for event in claude.messages.create(model=model, max_tokens=50, messages=HELLO, stream=True):
            seen.append(event.type)

    assert raised.value.type == "api_error"
    assert "message_stop" not in seen
    assert "message_delta" not in seen


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"top_k": 5}, "top_k"),
        ({"container": "c"}, "container"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0.type"),
        ({"stop_sequences": list("abcde")}, "stop_sequences"),
    ],
)
def test_what_openai_lacks_is_refused_by_the_clients_name(claude: Anthropic, fields: Any, name: str) -> None:
    body = {"model": MODEL, "max_tokens": 5, "messages": HELLO, **fields}

    with pytest.raises(anthropic.BadRequestError, match=f"'{name}'"):
        claude.post("/v1/messages", cast_to=object, body=body)


def test_what_the_provider_itself_refuses_is_told_in_anthropics_shape(product: Product, claude: Anthropic) -> None:
    model = product.new_model()
    product.provider.set_fault(model, fail_status=400, fail_message="no such voice")

    with pytest.raises(anthropic.BadRequestError, match="no such voice") as raised:
        claude.messages.create(model=model, max_tokens=5, messages=HELLO)

    assert raised.value.type == "invalid_request_error"
    assert raised.value.request_id
