"""Pitfalls of what is asked: calls and their results, thoughts, pictures, tools, schemas."""

from typing import Any

import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.conformance.pitfalls.asking import (
    CLAUDES_PICTURE,
    CLAUDES_TOOL,
    HELLO,
    PICTURE,
    TOOL,
    Provider,
    ask,
    candidate,
    events_of,
    whole_of,
)
from tests.support.wire_answers import ANSWERS
from tests.support.wire_requests import PNG


def test_pitfall_8_geminis_calls_get_ids_and_their_results_names_and_order(client: OpenAI, provider: Provider) -> None:
    # given two calls without an id
    calls = [{"functionCall": {"name": name, "args": {}}} for name in ("look", "listen")]
    first = whole_of(client, provider.says("gemini", candidate(*calls, finish="STOP"))).message
    ids = [call.id for call in first.tool_calls]
    assert len(set(ids)) == 2

    # when their results come back in another order
    results: Any = [{"role": "tool", "tool_call_id": call_id, "content": call_id} for call_id in reversed(ids)]
    whole_of(client, provider.says("gemini"), messages=[*HELLO, first.to_dict(), *results])

    # then Gemini gets both together, by name, in the order of the calls
    told = [part["functionResponse"] for part in provider.sent["contents"][-1]["parts"]]
    assert [(one["name"], one["response"]) for one in told] == [
        ("look", {"output": ids[0]}),
        ("listen", {"output": ids[1]}),
    ]


def test_pitfall_9_a_thought_signature_returns_on_its_part(client: OpenAI, provider: Provider) -> None:
    first = whole_of(client, provider.says("gemini")).message
    results: Any = [{"role": "tool", "tool_call_id": call.id, "content": "4"} for call in first.tool_calls]

    whole_of(client, provider.says("gemini"), messages=[*HELLO, first.to_dict(), *results])

    signed = [part.get("thoughtSignature") for part in provider.sent["contents"][1]["parts"] if "functionCall" in part]
    assert signed == ["c2ln", None]


def test_pitfall_10_thoughts_are_replayed_verbatim_and_first(client: OpenAI, provider: Provider) -> None:
    first = whole_of(client, provider.says("anthropic")).message
    results: Any = [{"role": "tool", "tool_call_id": call.id, "content": "4"} for call in first.tool_calls]

    whole_of(client, provider.says("anthropic"), messages=[*HELLO, first.to_dict(), *results])

    assert provider.sent["messages"][1]["content"][:2] == ANSWERS["anthropic"]["content"][:2]


def test_pitfall_10_a_thought_has_one_whole_signature_and_none_is_asked_for_beside_a_forced_tool(
    claude: Anthropic, client: OpenAI, provider: Provider
) -> None:
    deltas = [
        event.delta for event in events_of(claude, provider.streams("gemini")) if event.type == "content_block_delta"
    ]
    assert [delta.type for delta in deltas].count("signature_delta") == [delta.type for delta in deltas].count(
        "thinking_delta"
    ) + 1

    whole_of(client, provider.says("anthropic"), tools=[TOOL], tool_choice="required", reasoning_effort="high")
    assert provider.sent.get("thinking", {"type": "disabled"}) == {"type": "disabled"}


def test_pitfall_11_all_results_are_one_message_for_claude_and_an_error_is_said_to_openai(
    claude: Anthropic, client: OpenAI, provider: Provider
) -> None:
    first = whole_of(client, provider.says("anthropic")).message
    results: Any = [{"role": "tool", "tool_call_id": call.id, "content": "4"} for call in first.tool_calls]
    whole_of(
        client,
        provider.says("anthropic"),
        messages=[*HELLO, first.to_dict(), *results, {"role": "user", "content": "So?"}],
    )
    assert [block["type"] for block in provider.sent["messages"][2]["content"]] == [
        "tool_result",
        "tool_result",
        "text",
    ]

    used = {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "look", "input": {}}]}
    failed = {"type": "tool_result", "tool_use_id": "1", "is_error": True, "content": "no such city"}
    ask(claude, provider.says("openai"), messages=[*HELLO, used, {"role": "user", "content": [failed]}])
    assert provider.sent["messages"][-1] == {"role": "tool", "tool_call_id": "1", "content": "Error:\nno such city"}


def test_pitfall_12_pictures_have_each_vendors_form_and_those_of_results_follow_all_results(
    claude: Anthropic, client: OpenAI, provider: Provider
) -> None:
    seen: Any = [{"role": "user", "content": [{"type": "text", "text": "this?"}, PICTURE]}]
    whole_of(client, provider.says("anthropic"), messages=seen)
    assert provider.sent["messages"][0]["content"][1] == CLAUDES_PICTURE
    whole_of(client, provider.says("gemini"), messages=seen)
    assert provider.sent["contents"][0]["parts"][1] == {"inlineData": {"mimeType": "image/png", "data": PNG}}

    calls = [{"type": "tool_use", "id": one, "name": "look", "input": {}} for one in "12"]
    results = [{"type": "tool_result", "tool_use_id": one, "content": [CLAUDES_PICTURE]} for one in "12"]
    talk = [*HELLO, {"role": "assistant", "content": calls}, {"role": "user", "content": results}]
    ask(claude, provider.says("openai"), messages=talk)
    assert [message["role"] for message in provider.sent["messages"][2:]] == ["tool", "tool", "user"]
    assert [part["type"] for part in provider.sent["messages"][-1]["content"]] == ["text", "image_url"] * 2


def test_pitfall_13_claude_is_sent_what_it_takes(client: OpenAI, provider: Provider) -> None:
    call: Any = {"id": "call:1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages: Any = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "hi"}]},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call:1", "content": "4"},
    ]

    whole_of(client, provider.says("anthropic"), messages=messages, stop=["END"], reasoning_effort="high")

    sent = provider.sent
    assert sent["system"] == [{"type": "text", "text": "Be brief."}]
    assert sent["messages"][0]["content"] == [{"type": "text", "text": "hi"}]
    (used,), (result,) = sent["messages"][1]["content"], sent["messages"][2]["content"]
    assert used["id"] == result["tool_use_id"] != "call:1"
    assert sent["stop_sequences"] == ["END"]
    assert sent["max_tokens"] > sent.get("thinking", {}).get("budget_tokens", 0)
    with pytest.raises(openai.BadRequestError, match="'temperature'"):
        whole_of(client, provider.says("anthropic"), temperature=1.5)


def test_pitfall_14_a_schema_reaches_gemini_whole(client: OpenAI, provider: Provider) -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": False,
        "properties": {"place": {"$ref": "#/$defs/place"}, "kind": {"const": "city"}},
        "$defs": {"place": {"type": "array", "items": {"type": "string"}}},
    }
    function = {"name": "look", "parameters": schema}

    whole_of(client, provider.says("gemini"), tools=[{"type": "function", "function": function}])

    assert provider.sent["tools"] == [{"functionDeclarations": [{"name": "look", "parametersJsonSchema": schema}]}]


@pytest.mark.parametrize(
    ("choice", "claudes", "geminis"),
    [
        ("auto", {"type": "auto"}, {"mode": "AUTO"}),
        ("none", {"type": "none"}, {"mode": "NONE"}),
        ("required", {"type": "any"}, {"mode": "ANY"}),
        (
            {"type": "function", "function": {"name": "look"}},
            {"type": "tool", "name": "look"},
            {"mode": "ANY", "allowedFunctionNames": ["look"]},
        ),
    ],
)
def test_pitfall_15_each_choice_of_tools_has_its_word(
    client: OpenAI, provider: Provider, choice: Any, claudes: Any, geminis: Any
) -> None:
    whole_of(client, provider.says("anthropic"), tools=[TOOL], tool_choice=choice)
    assert provider.sent["tool_choice"] == claudes
    whole_of(client, provider.says("gemini"), tools=[TOOL], tool_choice=choice)
    assert provider.sent["toolConfig"] == {"functionCallingConfig": geminis}


def test_pitfall_15_one_call_at_a_time_has_its_word(claude: Anthropic, client: OpenAI, provider: Provider) -> None:
    whole_of(client, provider.says("anthropic"), tools=[TOOL], parallel_tool_calls=False)
    assert provider.sent["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    ask(
        claude,
        provider.says("openai"),
        tools=[CLAUDES_TOOL],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
    )
    assert (provider.sent["tool_choice"], provider.sent["parallel_tool_calls"]) == ("required", False)
