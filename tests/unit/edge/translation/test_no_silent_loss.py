"""What a translation would lose is refused by its place, and what a dialect would refuse for its form alone is put right."""

import json
from typing import Any

import pytest

from tests.support.wire_requests import REQUESTS
from tests.unit.edge.anthropic.test_anthropic_writer import accumulated
from tt_common.errors import DomainError
from tt_edge.protocols.anthropic.blocks import messages_of
from tt_edge.protocols.anthropic.provider import AnthropicProvider
from tt_edge.protocols.anthropic.reader import read_answer
from tt_edge.protocols.anthropic.writer import AnthropicWriter
from tt_edge.protocols.canonical.answer import ChatAnswer, Ending, TextDelta, ThinkingDelta, ToolDelta, ToolStarted
from tt_edge.protocols.canonical.request import ChatRequest, Inexpressible, Text, Tool, ToolResult, ToolUse, Turn
from tt_edge.protocols.gemini.protocol import GEMINI
from tt_edge.protocols.gemini.request import parse_generate
from tt_edge.protocols.openai.client import OpenAIClient
from tt_edge.protocols.openai.protocol import OPENAI
from tt_edge.protocols.openai.provider import OpenAIProvider
from tt_edge.protocols.openai.request import parse_chat
from tt_edge.protocols.port import Attempted, Target
from tt_edge.protocols.responses.client import ResponsesClient
from tt_edge.protocols.responses.protocol import RESPONSES
from tt_edge.protocols.responses.request import parse_responses

ATTEMPTED = Attempted("gpt-5", None, 1000)
SOUND = {"type": "input_audio", "input_audio": {"format": "wav", "data": "AAAA"}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
CALLED = {
    "role": "assistant",
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
}


def refused(bridge: Any) -> object:
    with pytest.raises(DomainError) as error:
        bridge()
    assert error.value.code == "invalid_request"
    return error.value.data["param"]


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([CALLED, {"role": "tool", "tool_call_id": "1", "content": [SOUND]}], "messages[1].content"),
        ([{"role": "system", "content": [PICTURE]}], "messages[0].content"),
        ([{"role": "assistant", "audio": {"id": "audio_1"}}], "messages[0].audio"),
    ],
)
def test_media_that_a_chat_can_not_bring_along_is_refused(messages: list[Any], field: str) -> None:
    body = json.dumps({"model": "asked", "messages": messages}).encode()
    assert refused(lambda: OPENAI.bridge(parse_chat(body), "gemini", "evt")) == field


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"type": "function_call_output", "call_id": "1", "output": [SOUND]}, "input[0].output"),
        (
            {"role": "developer", "content": [{"type": "input_image", "image_url": "http://x/y.png"}]},
            "input[0].content",
        ),
    ],
)
def test_media_that_a_response_can_not_bring_along_is_refused(item: Any, field: str) -> None:
    body = json.dumps({"model": "asked", "input": [item]}).encode()
    assert refused(lambda: RESPONSES.bridge(parse_responses(body), "gemini", "evt")) == field


def test_a_sound_in_a_function_response_is_refused() -> None:
    response = {"name": "look", "response": {}, "parts": [{"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}]}
    body = json.dumps({"contents": [{"role": "user", "parts": [{"functionResponse": response}]}]}).encode()
    request = parse_generate(Target("/v1beta/models/asked:generateContent", b"", {}), body)
    assert refused(lambda: GEMINI.bridge(request, "openai", "evt")) == "contents[0].parts[0].functionResponse.parts[0]"


@pytest.mark.parametrize("sequence", ["\n\n", " ", ""])
def test_a_stop_sequence_of_white_space_is_refused_for_claude(sequence: str) -> None:
    asked = ChatRequest(stream=False, turns=(Turn(role="user", blocks=(Text(text="hi"),)),), stop=("END", sequence))
    with pytest.raises(Inexpressible) as error:
        AnthropicProvider().outgoing(asked, Attempted("claude-sonnet-5", None, 100))
    assert error.value.field == "stop"


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        ({"type": "object"}, {"type": "object", "properties": {}}),
        ({}, {"type": "object", "properties": {}}),
        ({"type": "object", "properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}}),
        (
            {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}},
            {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}},
        ),
    ],
)
def test_a_tool_that_takes_nothing_has_the_properties_that_openai_insists_on(schema: Any, sent: Any) -> None:
    turn = Turn(role="user", blocks=(Text(text="hi"),))
    asked = ChatRequest(stream=False, turns=(turn,), tools=(Tool(name="look", schema=schema),))
    body = json.loads(OpenAIProvider().outgoing(asked, ATTEMPTED).body)
    assert body["tools"][0]["function"]["parameters"] == sent


def test_ids_that_begin_anew_in_every_turn_are_unique_for_claude_and_results_stay_with_their_calls() -> None:
    # given two steps of a model whose calls are counted from 0 each time, and an id that looks like a numbered one
    ids = ["call_0", "call_0_2", "call_0"]
    turns: list[Turn] = []
    for number, call_id in enumerate(ids):
        call = ToolUse(id=call_id, name=f"f{number}", arguments="{}")
        result = ToolResult(id=call_id, name="", content=(Text(text=str(number)),))
        turns += [Turn(role="assistant", blocks=(call,)), Turn(role="user", blocks=(result,))]

    # when Claude is told
    messages = messages_of(ChatRequest(stream=False, turns=tuple(turns)))

    # then no id comes twice, and each result has that of the call before it
    called = [message["content"][0]["id"] for message in messages[0::2]]
    answered = [message["content"][0]["tool_use_id"] for message in messages[1::2]]
    assert len(set(called)) == 3
    assert called == answered


def test_calls_of_2023_that_name_the_same_function_twice_are_two_pairs() -> None:
    step = [
        {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
        {"role": "function", "name": "look", "content": "4"},
    ]
    body = json.dumps({"model": "asked", "messages": [{"role": "user", "content": "hi"}, *step, *step]}).encode()
    turns = OpenAIClient().canonical(parse_chat(body)).turns
    ids = [block.id for turn in turns for block in turn.blocks if isinstance(block, (ToolUse, ToolResult))]
    assert ids[0] == ids[1] != ids[2] == ids[3]


def test_what_is_said_within_a_calls_arguments_is_told_behind_the_call() -> None:
    # given a provider that puts a line of text, and a thought, between two pieces of a call
    writer = AnthropicWriter("asked", "evt")
    events = [ToolStarted(0, "1", "look"), ToolDelta(0, '{"a":'), TextDelta("so"), TextDelta("me"), ThinkingDelta("hm")]
    out = b"".join(writer.write(event) for event in [*events, ToolDelta(0, "1}"), TextDelta("last")])
    out += writer.finish({0: Ending(reason="tool_use")}, None, "", "0")

    # then the call is whole and nothing is lost
    frames = [json.loads(line[5:]) for line in out.split(b"\n") if line.startswith(b"data:")]
    kinds = [
        (block["type"], block.get("text") or block.get("thinking") or block.get("input"))
        for block in accumulated(frames)["content"]
    ]
    assert kinds == [("tool_use", {"a": 1}), ("text", "some"), ("thinking", "hm"), ("text", "last")]


def test_what_is_said_behind_arguments_that_never_end_is_not_lost() -> None:
    writer = AnthropicWriter("asked", "evt")
    out = b"".join(writer.write(event) for event in (ToolStarted(0, "1", "look"), TextDelta("more")))
    out += writer.finish({}, None, "", "0")
    assert b'"text":"more"' in out


def test_cache_writes_of_no_told_kind_are_of_an_hour_where_the_client_asked_for_that() -> None:
    usage = {"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 7}
    body = {"content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn", "usage": usage}
    asked = {"model": "asked", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    for ttl, expected in (("1h", (0, 7)), ("5m", (7, 0))):
        part = {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral", "ttl": ttl}}
        request = parse_chat(json.dumps({**asked, "messages": [{"role": "user", "content": [part]}]}).encode())
        bridge = OPENAI.bridge(request, "anthropic", "evt")

        whole = bridge.answer(json.dumps(body).encode())
        tap = bridge.tap()
        events = [
            {"type": "message_start", "message": {**body, "content": []}},
            {"type": "message_delta", "delta": {}, "usage": usage},
        ]
        tap.feed(b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events))

        for used in (whole.usage if whole else None, tap.usage):
            assert used is not None
            assert (used.cache_write_5m_tokens, used.cache_write_1h_tokens) == expected


@pytest.mark.parametrize(("tier", "told"), [("standard", "default"), ("flex", "flex")])
def test_a_service_tier_is_told_in_openais_words_whole_and_streamed(tier: str, told: str) -> None:
    chat = parse_chat(
        b'{"model":"asked","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user"}]}'
    )
    usage = read_answer(b'{"content":[],"usage":{"input_tokens":1,"output_tokens":1}}', hour_cache=False)
    assert usage is not None
    answer = ChatAnswer(choices=usage.choices, usage=usage.usage, service_tier=tier)
    whole = json.loads(OpenAIClient().whole(answer, chat, "asked", "evt", "0"))
    streamed = OpenAIClient().writer(chat, "evt").finish({0: Ending(reason="end")}, usage.usage, tier, "0")
    chunks = [json.loads(line[5:]) for line in streamed.split(b"\n\n")[:-2]]
    response = parse_responses(json.dumps(REQUESTS["responses"][1]).encode())

    assert whole["service_tier"] == told
    assert {chunk["service_tier"] for chunk in chunks[1:]} == {told}
    assert chunks[-1]["usage"]["total_tokens"] == 2
    assert (
        ResponsesClient().writer(response, "evt").response(Ending(reason="end"), None, tier, "0")["service_tier"]
        == told
    )
