"""Anthropic's answers in the canonical form: whole and streamed alike, whatever the split of the bytes."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.edge.anthropic.test_anthropic_stream import END_USAGE, START_USAGE, delta, event, start
from tt_common.rating import Usage
from tt_edge.protocols.anthropic.reader import AnthropicReader, read_answer
from tt_edge.protocols.canonical.answer import (
    Ended,
    Ending,
    Event,
    Failed,
    Finished,
    Metered,
    PromptMetered,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolDelta,
    ToolStarted,
)
from tt_edge.protocols.canonical.request import Text, Thinking, ToolUse
from tt_edge.protocols.openai.protocol import OPENAI
from tt_edge.protocols.openai.request import parse_chat

USAGE = Usage(
    input_tokens=10,
    cache_read_tokens=7,
    cache_write_5m_tokens=20,
    cache_write_1h_tokens=30,
    output_tokens=12,
    reasoning_tokens=4,
    server_tool_calls=2,
)
BLOCKS: list[dict[str, Any]] = [
    {"type": "redacted_thinking", "data": "ZGF0YQ=="},
    {"type": "thinking", "thinking": "hm ä", "signature": "c2ln"},
    {"type": "text", "text": "Hello"},
    {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}},
    {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
]
WHOLE = {
    "type": "message",
    "content": BLOCKS,
    "stop_reason": "tool_use",
    "usage": {**START_USAGE, **END_USAGE},
}


def streamed(index: int, block: dict[str, Any]) -> bytes:
    opened = {**block}
    deltas: list[dict[str, Any]] = []
    match block["type"]:
        case "thinking":
            opened |= {"thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in ("hm", " ä")]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        case "text":
            opened["text"] = ""
            deltas = [{"type": "text_delta", "text": piece} for piece in ("Hel", "lo")]
        case "tool_use":
            opened["input"] = {}
            pieces = ["", '{"at"', ":1}"] if block["input"] else [""]
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    begun = event("content_block_start", index=index, content_block=opened)
    said = b"".join(delta(index, **fields) for fields in deltas)
    return begun + said + event("content_block_stop", index=index)


STREAM = b"".join(
    [
        start(),
        event("ping"),
        *(streamed(index, block) for index, block in enumerate(BLOCKS)),
        event("of_the_future", x=1),
        event("message_delta", delta={"stop_reason": "tool_use", "stop_sequence": None}, usage=END_USAGE),
        event("message_stop"),
    ]
)
PROMPT = PromptMetered(Usage(input_tokens=10, cache_read_tokens=7, cache_write_5m_tokens=20, cache_write_1h_tokens=30))
EVENTS: list[Event] = [
    PROMPT,
    ThinkingSigned("ZGF0YQ==", "anthropic", redacted=True),
    ThinkingDelta("hm"),
    ThinkingDelta(" ä"),
    ThinkingSigned("c2ln", "anthropic"),
    TextDelta("Hel"),
    TextDelta("lo"),
    ToolStarted(0, "toolu_1", "look"),
    ToolDelta(0, '{"at"'),
    ToolDelta(0, ":1}"),
    ToolStarted(1, "toolu_2", "now"),
    ToolDelta(1, "{}"),
    Ended(Ending(reason="tool_use", detail="tool_use")),
    Metered(USAGE, "priority"),
    Finished(),
]


def read(stream: bytes, cuts: list[int]) -> list[Event]:
    reader = AnthropicReader(hour_cache=False)
    edges = [0, *sorted(cuts), len(stream)]
    events = [found for a, b in pairwise(edges) for found in reader.feed(stream[a:b])]
    return events + reader.end()


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_split_of_the_providers_bytes_gives_the_same_events(cuts: list[int]) -> None:
    assert read(STREAM, cuts) == EVENTS


def test_a_whole_answer_is_what_its_stream_adds_up_to() -> None:
    answer = read_answer(json.dumps(WHOLE).encode(), hour_cache=False)

    assert answer is not None
    (choice,) = answer.choices
    assert choice.blocks == (
        Thinking(signature="ZGF0YQ==", vendor="anthropic", redacted=True),
        Thinking(text="hm ä", signature="c2ln", vendor="anthropic"),
        Text(text="Hello"),
        ToolUse(id="toolu_1", name="look", arguments='{"at": 1}'),
        ToolUse(id="toolu_2", name="now", arguments="{}"),
    )
    assert (choice.ending.reason, answer.usage, answer.service_tier) == ("tool_use", USAGE, "priority")


def test_pitfall_4_tools_are_counted_from_nought_whatever_stands_before_them() -> None:
    assert [found.index for found in EVENTS if isinstance(found, ToolStarted)] == [0, 1]


@pytest.mark.parametrize(
    ("stop_reason", "reason"),
    [
        ("end_turn", "end"),
        ("stop_sequence", "stop_sequence"),
        ("pause_turn", "pause"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_use"),
        ("refusal", "refusal"),
        ("of_the_future", "end"),
        (None, "end"),
    ],
)
def test_pitfall_19_every_reason_has_a_meaning(stop_reason: str | None, reason: Any) -> None:
    answer = read_answer(
        json.dumps({**WHOLE, "stop_reason": stop_reason, "stop_sequence": "END"}).encode(), hour_cache=False
    )

    assert answer is not None
    assert answer.choices[0].ending == Ending(reason=reason, sequence="END", detail=stop_reason or "")


def test_pitfall_20_a_stream_without_message_stop_is_never_finished() -> None:
    cut = STREAM.partition(b"event: message_stop")[0]

    assert Finished() not in read(cut, [])


@pytest.mark.parametrize(("kind", "overloaded"), [("overloaded_error", True), ("api_error", False)])
def test_pitfall_20_an_error_within_the_stream_is_told(kind: str, overloaded: bool) -> None:
    broken = start() + event("error", error={"type": kind, "message": "broke"})

    assert read(broken, []) == [PROMPT, Failed("broke", overloaded)]


def test_pitfall_17_usage_is_only_what_message_delta_completes() -> None:
    assert read(start(), []) == [PROMPT]
    twice = event("message_delta", delta={}, usage={"output_tokens": 3}) + STREAM.partition(b"event: of_")[2]

    assert [found.usage.output_tokens for found in read(start() + twice, []) if isinstance(found, Metered)] == [3, 12]


def test_tools_of_the_vendor_and_unknown_blocks_are_passed_over() -> None:
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    stream = event("content_block_start", index=0, content_block=search)
    stream += delta(0, type="input_json_delta", partial_json='{"q":1}') + event("content_block_stop", index=0)

    assert read(stream, []) == []


def test_arguments_that_come_with_the_start_are_not_lost() -> None:
    call = {"type": "tool_use", "id": "t", "name": "look", "input": {"at": 1}}
    stream = event("content_block_start", index=0, content_block=call) + event("content_block_stop", index=0)

    assert read(stream, []) == [ToolStarted(0, "t", "look"), ToolDelta(0, '{"at": 1}')]


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"type":"error","error":{}}', b"\xff", b'{"content":"x"}'])
def test_what_is_no_message_is_no_answer(body: bytes) -> None:
    assert read_answer(body, hour_cache=False) is None


def test_a_translated_stream_that_breaks_knows_what_the_provider_said_of_the_prompt() -> None:
    request = parse_chat(b'{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}')
    tap = OPENAI.bridge(request, "anthropic", "evt_1").tap()

    tap.feed(start() + streamed(0, BLOCKS[2]))

    assert (tap.usage, tap.prompt) == (None, PROMPT.usage)
