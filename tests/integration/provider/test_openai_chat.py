"""OpenAI's chat endpoint through the official SDK: what is streamed accumulates to what is answered whole, and every switch works."""

import json
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.integration.provider.conftest import Door

HELLO: Any = [{"role": "user", "content": "hi there"}]
ASK: Any = [{"role": "user", "content": "use a tool"}]
SPOKEN: Any = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "pcm16"}}
TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {field: {"type": "string"}}}},
    }
    for name, field in (("get_weather", "city"), ("get_time", "country"))
]
CACHED = {"prompt_tokens": 100, "cached_tokens": 30, "cache_write_5m_tokens": 20, "audio_input_tokens": 10}


def create(sdk: OpenAI, messages: Any = HELLO, switches: Any = None, **fields: Any) -> Any:
    wanted = {"model": "gpt-4o-mini", "messages": messages} | fields
    return sdk.chat.completions.create(**wanted, extra_body={"sandbox": switches or {}})


def stream(sdk: OpenAI, messages: Any = HELLO, switches: Any = None, **fields: Any) -> Any:
    """The answer that the SDK accumulates from a stream."""
    wanted = {"model": "gpt-4o-mini", "messages": messages, "stream_options": {"include_usage": True}} | fields
    with sdk.chat.completions.stream(**wanted, extra_body={"sandbox": switches or {}}) as events:
        return events.get_final_completion()


def comparable(answer: Any) -> Any:
    """An answer without what differs from call to call, and without the indexes that only a stream needs."""
    found = answer.model_dump(exclude={"id": True, "created": True, "object": True})
    for choice in found["choices"]:
        message = choice["message"]
        message.pop("parsed", None)
        message["annotations"] = message.get("annotations") or []
        for call in message["tool_calls"] or ():
            del call["id"]
            call.pop("index", None)
            call["function"].pop("parsed_arguments", None)
        if message["audio"] is not None:
            del message["audio"]["id"], message["audio"]["expires_at"]
            message["audio"].pop("index", None)
    return found


@pytest.mark.parametrize(
    ("fields", "switches"),
    [
        ({}, {}),
        ({"n": 3}, CACHED | {"output_tokens": 4, "reasoning_tokens": 2}),
        ({"messages": ASK, "tools": TOOLS}, {}),
        ({"messages": ASK, "tools": TOOLS}, {"tool_calls": 3}),
        ({"messages": ASK, "tools": TOOLS, "n": 2}, {"tool_calls": 2, "completion_text": "Let me look that up."}),
        ({"messages": ASK, "tools": TOOLS, "n": 2}, {"completion_text": "Let me look that up."}),
        ({"stop": ["provider"]}, {}),
        ({}, {"finish": "refusal", "output_tokens": 3}),
        ({}, {"finish": "pause", "service_tier": "flex"}),
        ({}, {"server_tool_calls": 2}),
        ({}, {"output_tokens": 0}),
        (SPOKEN | {"n": 2}, {"audio_output_tokens": 3}),
    ],
)
def test_stream_accumulates_to_the_whole_answer(openai_sdk: OpenAI, door: Door, fields: Any, switches: Any) -> None:
    whole = create(openai_sdk, switches=switches, **fields)
    streamed = stream(openai_sdk, switches=switches, **fields)

    assert comparable(streamed) == comparable(whole)
    first, second = door.records()
    assert first["usage"] == second["usage"]
    assert first["usage"]["output"] + first["usage"]["audio_output"] == whole.usage.completion_tokens


def test_usage_is_split_by_class_and_the_record_knows_both_forms(openai_sdk: OpenAI, door: Door) -> None:
    switches = CACHED | {
        "cache_write_1h_tokens": 5,
        "output_tokens": 7,
        "reasoning_tokens": 3,
        "audio_output_tokens": 9,
    }
    usage = create(openai_sdk, switches=switches, **SPOKEN).usage

    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (100, 19, 119)
    assert (prompt.cached_tokens, prompt.cache_write_tokens, prompt.audio_tokens) == (30, 25, 10)
    assert (completion.reasoning_tokens, completion.audio_tokens) == (3, 9)
    record = door.record()
    assert record["prompt_tokens"] == 100
    assert record["vendor_usage"] == usage.model_dump(exclude_none=True)
    assert {name: count for name, count in record["usage"].items() if count} == {
        "input": 35,
        "cache_read": 30,
        "cache_write_5m": 25,
        "audio_input": 10,
        "output": 10,
        "reasoning": 3,
        "audio_output": 9,
    }


def test_every_choice_is_charged_with_its_reasoning_and_sound(openai_sdk: OpenAI, door: Door) -> None:
    switches = {"output_tokens": 4, "reasoning_tokens": 2, "audio_output_tokens": 5, "prompt_tokens": 9}
    usage = create(openai_sdk, switches=switches, n=3, **SPOKEN).usage

    details = usage.completion_tokens_details
    assert (usage.prompt_tokens, usage.completion_tokens) == (9, 3 * (4 + 2 + 5))
    assert (details.reasoning_tokens, details.audio_tokens) == (3 * 2, 3 * 5)


def test_audio_of_the_prompt_is_counted_apart(openai_sdk: OpenAI, door: Door) -> None:
    heard = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}

    usage = create(openai_sdk, [{"role": "user", "content": [heard, {"type": "text", "text": "what is it"}]}]).usage

    assert (usage.prompt_tokens, usage.prompt_tokens_details.audio_tokens) == (4 + 3 + 50, 50)
    assert door.record()["usage"]["input"] == 7


def test_tools_are_called_in_parallel_unless_forbidden(openai_sdk: OpenAI, door: Door) -> None:
    both = create(openai_sdk, ASK, {"tool_calls": 2}, tools=TOOLS).choices[0]
    one = create(openai_sdk, ASK, {"tool_calls": 2}, tools=TOOLS, parallel_tool_calls=False).choices[0]

    called = [(call.function.name, json.loads(call.function.arguments)) for call in both.message.tool_calls]
    assert called == [("get_weather", {"city": "Paris"}), ("get_time", {"country": "France"})]
    assert len({call.id for call in both.message.tool_calls}) == 2
    assert both.finish_reason == "tool_calls"
    assert len(one.message.tool_calls) == 1


def test_named_tool_ends_with_stop_as_the_vendor_says(openai_sdk: OpenAI, door: Door) -> None:
    named = {"type": "function", "function": {"name": "get_time"}}
    choice = create(openai_sdk, tools=TOOLS, tool_choice=named).choices[0]

    assert (choice.message.tool_calls[0].function.name, choice.finish_reason) == ("get_time", "stop")


def test_allowed_tools_narrow_the_choice(openai_sdk: OpenAI, door: Door) -> None:
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "get_time"}}]}
    choice = create(openai_sdk, tools=TOOLS, tool_choice={"type": "allowed_tools", "allowed_tools": allowed}).choices[0]

    assert [call.function.name for call in choice.message.tool_calls] == ["get_time"]


def test_refusal_has_a_field_of_its_own(openai_sdk: OpenAI, door: Door) -> None:
    message = create(openai_sdk, switches={"finish": "refusal", "completion_text": "I can't help."}).choices[0].message

    assert (message.content, message.refusal) == (None, "I can't help.")


def test_answered_message_goes_back_as_it_came(openai_sdk: OpenAI, door: Door) -> None:
    called = create(openai_sdk, ASK, {"tool_calls": 2}, tools=TOOLS).choices[0].message
    results = [{"role": "tool", "tool_call_id": call.id, "content": "fine"} for call in called.tool_calls]

    answer = create(openai_sdk, [*ASK, called, *results], tools=TOOLS)

    assert answer.choices[0].finish_reason == "stop"


def test_failure_in_mid_stream_is_an_error_event(openai_sdk: OpenAI, door: Door) -> None:
    with pytest.raises(openai.APIError, match="The server had an error"):
        stream(openai_sdk, switches={"output_tokens": 9, "error_after_chunks": 2})

    record = door.record()
    assert (record["usage"]["output"], record["vendor_usage"], record["completed"]) == (2, None, False)


def test_sound_that_was_not_reached_is_not_recorded(openai_sdk: OpenAI, door: Door) -> None:
    with pytest.raises(openai.APIError):
        stream(openai_sdk, switches={"output_tokens": 9, "error_after_chunks": 2}, **SPOKEN)

    assert door.record()["usage"]["audio_output"] == 0


def test_refusals_name_the_field_in_the_sdks_error(openai_sdk: OpenAI, door: Door) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        create(openai_sdk, n=0)

    assert (refused.value.param, refused.value.code) == ("n", "integer_below_min_value")
    assert refused.value.type == "invalid_request_error"
