"""Gemini's streams on their way through: whatever the cut, the same frames; an end only where there was one; the cost in the last frame."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tt_common.errors import DomainError
from tt_edge.protocols.gemini.errors import error_event
from tt_edge.protocols.gemini.stream import ArrayTap, StreamTap
from tt_edge.protocols.port import Tap

USAGE = {"promptTokenCount": 9, "candidatesTokenCount": 4, "totalTokenCount": 13}


def chunk(text: str = "", finish: str | None = None, usage: Any = USAGE, **more: Any) -> bytes:
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": [{"text": text}]}}
    if finish is not None:
        candidate["finishReason"] = finish
    body = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "upstream-001", **more}
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\r\n\r\n"


STREAM = b"".join(
    [
        chunk("Grüß ", usage={"promptTokenCount": 9, "totalTokenCount": 9}),
        b": a comment\r\n\r\n",
        chunk('"modelVersion": "upstream-001" ', futureField={"modelVersion": "upstream-001"}),
        chunk("Gott", "STOP"),
        chunk("", None, {**USAGE, "thoughtsTokenCount": 3, "totalTokenCount": 16}),
    ]
)


def told(cuts: list[int], *, array: bool = False) -> bytes:
    tap: Tap = StreamTap("asked")
    if array:
        tap = ArrayTap(tap)
    edges = [0, *sorted(cuts), len(STREAM)]
    out = b"".join(tap.feed(STREAM[a:b]) for a, b in pairwise(edges))
    assert not tap.complete, "only the end of the stream says that it is whole"
    out += tap.end()
    assert tap.complete
    return out + tap.tail("0.000123")


def events(stream: bytes) -> list[dict[str, Any]]:
    lines = stream.decode().split("\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12), st.booleans())
def test_any_split_of_the_providers_bytes_gives_the_same_stream(cuts: list[int], array: bool) -> None:
    assert told(cuts, array=array) == told([], array=array)


def test_every_event_names_the_model_that_was_asked_for_and_keeps_the_rest() -> None:
    found = events(told([]))
    assert [event["modelVersion"] for event in found] == ["asked"] * 4
    assert found[1]["futureField"] == {"modelVersion": "upstream-001"}
    assert found[1]["candidates"][0]["content"]["parts"][0]["text"] == '"modelVersion": "upstream-001" '


def test_the_last_event_alone_has_the_cost_and_the_last_usage_counts() -> None:
    found = events(told([]))
    assert [event["usageMetadata"].get("cost") for event in found] == [None, None, None, 0.000123]
    tap = StreamTap("asked")
    tap.feed(STREAM)
    assert tap.usage is not None
    assert (tap.usage.input_tokens, tap.usage.output_tokens, tap.usage.reasoning_tokens) == (9, 7, 3)


def test_nothing_that_ends_the_stream_leaves_before_its_cost_is_known() -> None:
    tap = StreamTap("asked")
    assert tap.feed(chunk("all", "STOP")) == b""
    assert tap.end() == b""
    assert b'"cost":0.5' in tap.tail("0.5")


def test_an_array_is_the_same_pieces_as_the_events() -> None:
    assert json.loads(told([], array=True)) == events(told([]))


def test_a_stream_without_a_reason_for_its_end_is_not_complete() -> None:
    tap = StreamTap("asked")
    tap.feed(chunk("half"))
    tap.end()
    assert not tap.complete


def test_a_blocked_prompt_is_a_whole_answer_without_candidates() -> None:
    tap = StreamTap("asked")
    body = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5}}
    tap.feed(b"data: " + json.dumps(body).encode() + b"\n\n")
    tap.end()
    assert tap.complete
    assert json.loads(tap.tail("0.1")[6:])["promptFeedback"] == {"blockReason": "SAFETY"}


def test_an_error_within_the_stream_is_passed_on_and_the_stream_is_no_success() -> None:
    tap = StreamTap("asked")
    error = b'data: {"error":{"code":503,"status":"UNAVAILABLE","message":"overloaded"}}\n\n'
    out = tap.feed(chunk("half") + error)
    tap.end()
    assert out.endswith(error)
    assert tap.failed
    assert not tap.complete


def test_an_error_within_an_array_is_its_last_item() -> None:
    failed = ArrayTap(StreamTap("asked"))
    event = error_event(DomainError("upstream_error", "It broke off."))
    out = failed.feed(chunk("half")) + failed.broken(event)
    assert [item.get("error", {}).get("message") for item in json.loads(out)] == [None, "It broke off."]

    empty = ArrayTap(StreamTap("asked"))
    assert json.loads(empty.broken(event))[0]["error"]["status"] == "UNAVAILABLE"

    passed_on = ArrayTap(StreamTap("asked"))
    out = passed_on.feed(chunk("half") + b'data: {"error":{"code":503}}\n\n') + passed_on.end() + passed_on.tail("0")
    assert json.loads(out)[1] == {"error": {"code": 503}}


def test_what_was_delivered_is_counted_where_no_usage_comes() -> None:
    tap = StreamTap("asked")
    call = {"functionCall": {"name": "look", "args": {"at": 1}}}
    body = {"candidates": [{"content": {"parts": [{"text": "hm", "thought": True}, call]}}]}
    tap.feed(b"data: " + json.dumps(body).encode() + b"\n\n")
    assert tap.usage is None
    assert tap.texts == ["hm", '{"name":"look","args":{"at":1}}']
    assert tap.recount() > 5


def test_events_that_are_no_json_pass_through() -> None:
    tap = StreamTap("asked")
    assert tap.feed(b"data: what?\n\n") == b"data: what?\n\n"
