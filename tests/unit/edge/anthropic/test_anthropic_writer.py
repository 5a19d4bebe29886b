"""Canonical answers as Anthropic's SDK reads them: the grammar of its stream, and a stream that adds up to the whole answer."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_common.rating import Usage
from tt_edge.protocols.anthropic.client import AnthropicClient
from tt_edge.protocols.anthropic.request import parse_messages
from tt_edge.protocols.anthropic.signatures import carried
from tt_edge.protocols.anthropic.writer import AnthropicWriter
from tt_edge.protocols.canonical.answer import (
    ChatAnswer,
    Choice,
    Ending,
    Event,
    RefusalDelta,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolDelta,
    ToolStarted,
)
from tt_edge.protocols.canonical.request import Text, Thinking, ToolUse
from tt_edge.protocols.port import Target

REQUEST = parse_messages(Target("", b"", {}), b'{"model":"asked","messages":[{"role":"user","content":"x"}]}')
USAGE = Usage(
    input_tokens=10,
    cache_read_tokens=7,
    cache_write_5m_tokens=20,
    cache_write_1h_tokens=30,
    output_tokens=12,
    reasoning_tokens=4,
    server_tool_calls=2,
)
END = Ending(reason="end")


def written(events: list[Event], ending: Ending = END, usage: Usage | None = USAGE) -> list[dict[str, Any]]:
    """The events as a client reads them; every frame is named as its data is."""
    writer = AnthropicWriter("asked", "evt_1")
    out = b"".join(writer.write(event) for event in events)
    out += writer.finish({0: ending}, usage, "default", "0.5")
    found: list[dict[str, Any]] = []
    for frame in out.decode().split("\n\n")[:-1]:
        name, _, data = frame.removeprefix("event: ").partition("\ndata: ")
        found.append(json.loads(data))
        assert found[-1]["type"] == name
    return found


def accumulated(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The message as the grammar of the vendor's streams has it; anything against that grammar fails here."""
    first, *rest = events
    assert first["type"] == "message_start"
    message = first["message"]
    is_open = -1
    arguments = ""
    for event in rest:
        match event["type"]:
            case "content_block_start":
                assert (is_open, event["index"]) == (-1, len(message["content"]))
                is_open = event["index"]
                message["content"].append(event["content_block"])
                arguments = ""
            case "content_block_delta":
                assert event["index"] == is_open
                block, delta = message["content"][-1], event["delta"]
                kind = delta["type"].removesuffix("_delta")
                assert (kind, block["type"]) in KINDS
                if kind == "input_json":
                    arguments += delta["partial_json"]
                elif kind == "signature":
                    assert block["signature"] == ""
                    block["signature"] = delta["signature"]
                else:
                    block[kind] += delta[kind]
            case "content_block_stop":
                assert event["index"] == is_open
                is_open = -1
                if message["content"][-1]["type"] == "tool_use":
                    message["content"][-1]["input"] = json.loads(arguments or "{}")
            case "message_delta":
                assert is_open == -1
                message |= event["delta"]
                message["usage"] = event["usage"]
            case kind:
                assert kind == "message_stop"
                assert event is rest[-1]
    return message


KINDS = {
    ("text", "text"),
    ("thinking", "thinking"),
    ("signature", "thinking"),
    ("input_json", "tool_use"),
}


def whole(*blocks: Text | Thinking | ToolUse, ending: Ending = END, refusal: str = "") -> dict[str, Any]:
    answer = ChatAnswer(
        choices=(Choice(blocks=blocks, ending=ending, refusal=refusal),), usage=USAGE, service_tier="default"
    )
    return json.loads(AnthropicClient().whole(answer, REQUEST, "asked", "evt_1", "0.5"))


def test_pitfall_1_a_stream_adds_up_to_the_whole_answer() -> None:
    events: list[Event] = [
        ThinkingDelta("hm"),
        ThinkingDelta(" ä"),
        ThinkingSigned("c2ln", "anthropic"),
        ThinkingSigned("b3A=", "openai", redacted=True),
        TextDelta("Hel"),
        TextDelta("lo"),
        ToolStarted(0, "call_0", "look", "Z2Vt"),
        ToolDelta(0, '{"at"'),
        ToolDelta(0, ":1}"),
        ToolStarted(1, "call_1", "now"),
    ]
    ending = Ending(reason="tool_use", detail="tool_calls")

    message = accumulated(written(events, ending))

    assert message == whole(
        Thinking(text="hm ä", signature="c2ln", vendor="anthropic"),
        Thinking(signature="b3A=", vendor="openai", redacted=True),
        Text(text="Hello"),
        ToolUse(id="call_0", name="look", arguments='{"at":1}', signature="Z2Vt"),
        ToolUse(id="call_1", name="now", arguments="{}"),
        ending=ending,
    )
    kinds = [block["type"] for block in message["content"]]
    assert kinds == ["thinking", "redacted_thinking", "text", "thinking", "tool_use", "tool_use"]
    assert message["content"][3]["signature"] == carried("Z2Vt", "gemini", "call")
    assert (message["id"], message["model"], message["stop_reason"]) == ("msg_evt_1", "asked", "tool_use")


def test_pitfall_2_no_block_is_opened_before_its_kind_is_known() -> None:
    kinds = [event["type"] for event in written([])]

    assert kinds == ["message_start", "message_delta", "message_stop"]


def test_pitfall_3_the_delta_that_changes_the_block_is_not_lost() -> None:
    message = accumulated(written([ThinkingDelta("a"), TextDelta("b"), ThinkingDelta("c"), TextDelta("d")]))

    assert [block.get("text", block.get("thinking")) for block in message["content"]] == ["a", "b", "c", "d"]


def test_thoughts_that_nobody_signed_say_so() -> None:
    message = accumulated(written([ThinkingDelta("a"), TextDelta("b")]))

    assert message["content"][0]["signature"] == carried("", None)
    assert whole(Thinking(text="a"))["content"][0]["signature"] == carried("", None)


PIECES = [['{"a"', ":[1,", "2]}"], ["{}"], ['{"b":', '"x"}']]


@given(st.randoms(use_true_random=False))
def test_pitfall_5_calls_that_come_interleaved_are_told_one_after_the_other(random: Any) -> None:
    # given deltas of three calls in any order that keeps each call's own
    queues: list[list[Event]] = [
        [ToolStarted(at, f"call_{at}", f"tool_{at}"), *(ToolDelta(at, piece) for piece in pieces)]
        for at, pieces in enumerate(PIECES)
    ]
    events: list[Event] = [queue.pop(0) for queue in queues[:1]]
    started = 1
    while any(queues):
        choices = [at for at, queue in enumerate(queues) if queue and at <= started]
        at = random.choice(choices)
        event = queues[at].pop(0)
        started += isinstance(event, ToolStarted)
        events.append(event)
    # when
    message = accumulated(written([*events, TextDelta("after")]))
    # then
    assert [block.get("input") for block in message["content"]] == [{"a": [1, 2]}, {}, {"b": "x"}, None]


def test_pitfall_6_arguments_come_only_in_deltas() -> None:
    started = written([ToolStarted(0, "c", "look"), ToolDelta(0, '{"a":1}')])[1]

    assert started["content_block"] == {"type": "tool_use", "id": "c", "name": "look", "input": {}}


def test_arguments_that_are_no_object_are_kept() -> None:
    assert whole(ToolUse(id="c", name="look", arguments='{"a":'))["content"][0]["input"] == {"_unparsed": '{"a":'}


def test_pitfall_16_usage_is_in_anthropics_classes() -> None:
    assert whole()["usage"] == {
        "input_tokens": 10,
        "cache_creation_input_tokens": 50,
        "cache_read_input_tokens": 7,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
        "output_tokens": 12,
        "output_tokens_details": {"thinking_tokens": 4},
        "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0},
        "service_tier": "standard",
        "cost": 0.5,
    }


def test_a_usage_that_nobody_knows_is_null_and_not_zero() -> None:
    assert written([TextDelta("a")], usage=None)[-2]["usage"] == {
        "input_tokens": None,
        "output_tokens": None,
        "cost": 0.5,
    }


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (Ending(reason="end"), "end_turn"),
        (Ending(reason="stop_sequence", sequence="END"), "stop_sequence"),
        (Ending(reason="length"), "max_tokens"),
        (Ending(reason="pause"), "pause_turn"),
        (Ending(reason="refusal", detail="SAFETY"), "refusal"),
    ],
)
def test_pitfall_19_every_ending_has_its_reason(ending: Ending, reason: str) -> None:
    message = accumulated(written([TextDelta("a")], ending))

    assert (message["stop_reason"], message["stop_sequence"]) == (reason, ending.sequence)
    expected = {"type": "refusal", "category": None, "explanation": "SAFETY"} if reason == "refusal" else None
    assert message["stop_details"] == expected
    assert message == whole(Text(text="a"), ending=ending)


def test_pitfall_7_an_end_after_calls_is_a_use_of_tools() -> None:
    assert written([ToolStarted(0, "c", "look")])[-2]["delta"]["stop_reason"] == "tool_use"
    assert whole(ToolUse(id="c", name="look", arguments="{}"))["stop_reason"] == "tool_use"


def test_a_refusal_that_is_kept_apart_is_text_and_a_reason() -> None:
    message = accumulated(written([RefusalDelta("I "), RefusalDelta("won't.")]))

    assert message == whole(refusal="I won't.")
    assert (message["content"][0]["text"], message["stop_reason"]) == ("I won't.", "refusal")
