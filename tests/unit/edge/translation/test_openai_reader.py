"""What OpenAI-compatible providers stream in their own ways, in the canonical form."""

import json
from typing import Any

from tt_edge.protocols.canonical.answer import Ended, Event, Finished, TextDelta, ToolDelta, ToolStarted
from tt_edge.protocols.canonical.request import ChatRequest
from tt_edge.protocols.openai.provider import OpenAIProvider

ASKED = ChatRequest(stream=True, turns=())


def read(*deltas: dict[str, Any], finish: str | None = "tool_calls") -> list[Event]:
    reader = OpenAIProvider().reader(ASKED)
    chunks: list[Any] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    if finish is not None:
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    data = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)
    return reader.feed(data + b"data: [DONE]\n\n") + reader.end()


def piece(arguments: str = "", *, index: int = 0, id: str | None = None, name: str | None = None) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "id": id, "function": {"name": name, "arguments": arguments}}]}


def calls(events: list[Event]) -> dict[str, tuple[str, str]]:
    """By id: name and arguments."""
    started = {event.index: event for event in events if isinstance(event, ToolStarted)}
    told: dict[int, str] = dict.fromkeys(started, "")
    for event in events:
        if isinstance(event, ToolDelta):
            told[event.index] += event.arguments
    return {call.id: (call.name, told[index]) for index, call in started.items()}


def test_parallel_calls_that_all_have_the_index_0_are_told_apart_by_their_ids() -> None:
    events = read(piece('{"a":1}', id="x", name="one"), piece('{"b":2}', id="y", name="one"))

    assert calls(events) == {"x": ("one", '{"a":1}'), "y": ("one", '{"b":2}')}


def test_pitfall_5_an_id_and_a_name_that_are_said_again_open_no_other_call() -> None:
    events = read(piece("{", id="x", name="one"), piece('"a":1', id="x", name="one"), piece("}", id="x"))

    assert calls(events) == {"x": ("one", '{"a":1}')}


def test_a_call_starts_where_its_name_came_and_loses_no_argument_before_it() -> None:
    events = read(piece('{"a"', id="x"), piece(":1}", name="one"))

    assert calls(events) == {"x": ("one", '{"a":1}')}


def test_calls_without_an_id_get_one_that_no_other_turn_has() -> None:
    first, second = calls(read(piece("{}", name="one"))), calls(read(piece("{}", name="one")))

    assert first.keys().isdisjoint(second)


def test_done_without_a_reason_ends_what_was_begun() -> None:
    said = read({"content": "hi"}, finish=None)
    called = read(piece("{}", id="x", name="one"), finish=None)

    assert said[0] == TextDelta("hi")
    for events, reason in ((said, "end"), (called, "tool_use")):
        ended = events[events.index(Finished()) - 1]
        assert isinstance(ended, Ended) and ended.ending.reason == reason
