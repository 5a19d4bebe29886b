"""Anthropic's SDK to a model whose provider speaks Gemini's dialect: two that have thoughts and signatures, each of its own kind."""

import secrets
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic

from tests.conformance.claude import HELLO, WEATHER, say_whole, streamed
from tests.support.product import Product

QUESTION: Any = {"role": "user", "content": "What is the weather? Use the tool."}


@pytest.fixture(scope="module")
def gemini_3(product: Product) -> str:
    """A model that insists on the signature of the first of parallel calls."""
    return product.new_model(
        routes=[{"provider": "sandbox-gemini", "upstream_model": f"gemini-3-{secrets.token_hex(4)}"}],
        cache_read_usd="0.5",
    )


@pytest.fixture(params=["whole", "stream"])
def say(request: pytest.FixtureRequest) -> Any:
    """The same question, without a stream and with one."""

    return say_whole if request.param == "whole" else streamed


def test_a_message_is_answered_and_its_tokens_told(claude: Anthropic, gemini_3: str, say: Any) -> None:
    sampling = {"temperature": 0.5, "top_k": 5}

    message = say(claude, gemini_3, system="Be brief.", stop_sequences=["END"], extra_body=sampling)

    assert (message.model, message.stop_reason, message.content[0].type) == (gemini_3, "end_turn", "text")
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0


def test_pitfall_9_signatures_of_calls_go_out_and_come_back_with_the_clients_own_message(
    claude: Anthropic, gemini_3: str, say: Any
) -> None:
    # given a turn that thinks and calls a tool
    fields: dict[str, Any] = {"tools": [WEATHER], "thinking": {"type": "enabled", "budget_tokens": 2000}}
    first = say(claude, gemini_3, messages=[QUESTION], **fields)
    calls = [block for block in first.content if block.type == "tool_use"]
    assert first.stop_reason == "tool_use"
    assert "tokentally:gemini:call:" in str(first.content)
    # when the client sends it back as it is, with the results
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "21"} for call in calls]
    turns = [QUESTION, {"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    second = say(claude, gemini_3, messages=turns, **fields)
    # then the provider, which checks the signature, goes on
    assert second.stop_reason == "end_turn"


def test_a_conversation_may_move_from_gemini_to_claude(
    claude: Anthropic, gemini_3: str, claude_model: str, say: Any
) -> None:
    fields: dict[str, Any] = {"tools": [WEATHER], "thinking": {"type": "enabled", "budget_tokens": 2000}}
    first = say(claude, gemini_3, messages=[QUESTION], **fields)
    calls = [block for block in first.content if block.type == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "21"} for call in calls]
    turns = [QUESTION, {"role": "assistant", "content": first.content}, {"role": "user", "content": results}]

    assert say(claude, claude_model, messages=turns, **fields).stop_reason == "end_turn"


def test_a_block_for_safety_is_a_refusal(product: Product, claude: Anthropic, say: Any) -> None:
    upstream = f"gemini-{secrets.token_hex(4)}"
    model = product.new_model(routes=[{"provider": "sandbox-gemini", "upstream_model": upstream}])
    product.provider.set_fault(upstream, finish="refusal")

    message = say(claude, model)

    assert message.stop_reason == "refusal"
    assert message.stop_details.type == "refusal"


def test_pitfall_20_a_stream_that_breaks_is_an_error(product: Product, claude: Anthropic) -> None:
    upstream = f"gemini-{secrets.token_hex(4)}"
    model = product.new_model(routes=[{"provider": "sandbox-gemini", "upstream_model": upstream}])
    product.provider.set_fault(upstream, output_tokens=9, error_after_chunks=3)

    with pytest.raises(anthropic.APIStatusError) as raised:
        list(claude.messages.create(model=model, max_tokens=50, messages=HELLO, stream=True))

    assert raised.value.type in ("overloaded_error", "api_error")
