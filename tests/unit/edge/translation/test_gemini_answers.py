"""Gemini's answers and streams as canonical ones; one named test for each pitfall."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_common.rating import Usage
from tt_edge.protocols.canonical.answer import (
    Ended,
    Ending,
    Event,
    Failed,
    Finished,
    Metered,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolDelta,
    ToolStarted,
)
from tt_edge.protocols.canonical.request import ChatRequest, Text, Thinking, ToolUse
from tt_edge.protocols.gemini.provider import GeminiProvider
from tt_edge.protocols.translate import Refused

PROVIDER = GeminiProvider()
ASKED = ChatRequest(stream=True, turns=())
USAGE = {"promptTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 3, "totalTokenCount": 16}


def answered(parts: list[Any], finish: str | None = "STOP", **more: Any) -> dict[str, Any]:
    candidate = {"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": finish, **more}
    return {"candidates": [candidate], "usageMetadata": USAGE, "modelVersion": "upstream"}


def frames(*bodies: dict[str, Any]) -> bytes:
    return b"".join(b"data: %b\r\n\r\n" % json.dumps(body, ensure_ascii=False).encode() for body in bodies)


def read(stream: bytes, cuts: list[int] | None = None) -> list[Event]:
    reader = PROVIDER.reader(ASKED)
    edges = [0, *sorted(cuts or []), len(stream)]
    events = [event for a, b in pairwise(edges) for event in reader.feed(stream[a:b])]
    return events + reader.end()


def whole(parts: list[Any], finish: str = "STOP", **more: Any) -> Any:
    answer = PROVIDER.answer(json.dumps(answered(parts, finish, **more)).encode(), ASKED)
    assert answer is not None
    return answer.choices[0]


CALL = {"functionCall": {"name": "look", "id": "c1", "args": {"at": 1}}, "thoughtSignature": "c2ln"}
STREAM = frames(
    answered([{"text": "hmm ", "thought": True}], None),
    answered([{"text": "ä\u2028", "thought": True}], None),
    answered([{"text": "Grüß "}], None),
    answered([{"text": "Gott"}], None),
    answered([CALL, {"functionCall": {"name": "now", "id": "c2"}}], None),
    answered([{"text": ""}], "STOP"),
)


def metered(candidates: int, **more: Any) -> dict[str, Any]:
    counts = {"candidatesTokenCount": candidates, "totalTokenCount": candidates + 12}
    return {**answered([{"text": "x"}], None), "usageMetadata": {**USAGE, **counts, **more}}


SEARCHED = {"candidates": [{"groundingMetadata": {"webSearchQueries": ["a", "b"]}}]}
COUNTED = frames(
    metered(1),
    metered(2, trafficType="ON_DEMAND_FLEX"),
    metered(3),
    metered(-4, trafficType="ON_DEMAND_PRIORITY"),
    SEARCHED,
)
BROKEN = COUNTED + frames({"error": {"message": "odd"}}, metered(5, trafficType="PROVISIONED_THROUGHPUT"))


def before_it_failed(events: list[Event]) -> tuple[list[Event], Usage | None, str]:
    """What is made of events: those that are told, the last usage, the last service tier that was named."""
    told: list[Event] = []
    usage, tier = None, ""
    for event in events:
        if isinstance(event, Metered):
            usage, tier = event.usage, event.service_tier or tier
            continue
        told.append(event)
        if isinstance(event, Failed):
            break
    return told, usage, tier


@pytest.mark.parametrize("stream", [STREAM, COUNTED, BROKEN, COUNTED + frames(metered(6))])
@given(st.lists(st.integers(0, len(BROKEN)), max_size=12))
def test_any_split_of_the_bytes_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    cuts = [cut for cut in cuts if cut < len(stream)]
    assert before_it_failed(read(stream, cuts)) == before_it_failed(read(stream))


def test_the_last_usable_usage_counts_with_the_last_tier_that_was_named_and_what_was_searched_by_then() -> None:
    plain = Usage(input_tokens=9, output_tokens=6, reasoning_tokens=3)
    assert before_it_failed(read(COUNTED))[1:] == (plain, "flex")
    assert before_it_failed(read(BROKEN))[1:] == (plain, "flex")
    later = before_it_failed(read(COUNTED + frames(metered(6))))
    assert later[1:] == (Usage(input_tokens=9, output_tokens=9, reasoning_tokens=3, server_tool_calls=2), "flex")


def test_pitfall_7_a_call_is_the_reason_of_the_end_though_stop_comes_later() -> None:
    events = [event for event in read(STREAM) if not isinstance(event, Metered)]
    assert events == [
        ThinkingDelta("hmm "),
        ThinkingDelta("ä\u2028"),
        TextDelta("Grüß "),
        TextDelta("Gott"),
        ToolStarted(0, "c1", "look", "c2ln"),
        ToolDelta(0, '{"at": 1}'),
        ToolStarted(1, "c2", "now"),
        ToolDelta(1, "{}"),
        Ended(Ending(reason="tool_use", detail="STOP")),
        Finished(),
    ]


def test_a_whole_answer_is_the_same_as_its_stream() -> None:
    choice = whole([{"text": "hmm ä\u2028", "thought": True}, {"text": "Grüß Gott"}, CALL])
    assert choice.blocks == (
        Thinking(text="hmm ä\u2028"),
        Text(text="Grüß Gott"),
        ToolUse(id="c1", name="look", arguments='{"at": 1}', signature="c2ln"),
    )
    assert choice.ending == Ending(reason="tool_use", detail="STOP")


def test_pitfall_8_calls_without_an_id_get_unique_ones() -> None:
    call = {"functionCall": {"name": "look"}}
    first, second = whole([call, call]).blocks
    assert first.id != second.id
    started = [event.id for event in read(frames(answered([call]), answered([call]))) if isinstance(event, ToolStarted)]
    assert len(set(started)) == 2


def test_pitfall_9_a_signature_of_a_text_is_carried_as_a_thought_without_words() -> None:
    signed = {"text": "said", "thoughtSignature": "c2ln"}
    thought = ThinkingSigned("c2ln", "gemini", redacted=True)
    assert whole([signed]).blocks == (
        Text(text="said"),
        Thinking(signature="c2ln", vendor="gemini", redacted=True),
    )
    assert read(frames(answered([signed])))[:2] == [TextDelta("said"), thought]
    late = frames(answered([{"text": "said"}], None), answered([{"text": "", "thoughtSignature": "c2ln"}]))
    assert [event for event in read(late) if not isinstance(event, Metered)][:2] == [TextDelta("said"), thought]


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("STOP", "end"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "refusal"),
        ("RECITATION", "refusal"),
        ("BLOCKLIST", "refusal"),
        ("PROHIBITED_CONTENT", "refusal"),
        ("SPII", "refusal"),
        ("IMAGE_SAFETY", "refusal"),
        ("OTHER", "end"),
        ("INVENTED_LATER", "end"),
    ],
)
def test_pitfall_19_why_an_answer_ended(finish: str, reason: Any) -> None:
    ending = Ending(reason=reason, detail=finish)
    assert whole([{"text": "x"}], finish).ending == ending
    assert Ended(ending) in read(frames(answered([{"text": "x"}], finish)))


def test_pitfall_19_a_malformed_call_is_an_error_and_no_end() -> None:
    body = answered([], "MALFORMED_FUNCTION_CALL", finishMessage="Malformed: print(")
    with pytest.raises(Refused, match="Malformed: print"):
        PROVIDER.answer(json.dumps(body).encode(), ASKED)
    assert read(frames(body)) == [Failed("Malformed: print(")]


def test_pitfall_19_a_blocked_prompt_is_a_refusal() -> None:
    body = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}}
    answer = PROVIDER.answer(json.dumps(body).encode(), ASKED)
    assert answer is not None
    assert [choice.ending for choice in answer.choices] == [Ending(reason="refusal", detail="SAFETY")]
    assert answer.usage is not None
    assert read(frames(body))[-2:] == [Ended(Ending(reason="refusal", detail="SAFETY")), Finished()]


def test_pitfall_20_a_stream_that_stops_without_a_reason_is_not_finished() -> None:
    assert not any(isinstance(event, Finished) for event in read(frames(answered([{"text": "half"}], None))))


def test_pitfall_20_an_error_within_the_stream_is_its_end() -> None:
    error = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    assert read(frames(error)) == [Failed("overloaded", overloaded=True)]


def test_an_error_whose_status_is_no_word_is_an_error_all_the_same() -> None:
    assert read(frames({"error": {"message": "odd", "status": ["UNAVAILABLE"]}})) == [Failed("odd")]


def test_pitfall_16_and_17_the_last_usage_counts_in_classes_that_share_nothing() -> None:
    later = {**answered([], None), "usageMetadata": {**USAGE, "candidatesTokenCount": 5, "totalTokenCount": 17}}
    found = [event.usage for event in read(STREAM + frames(later)) if isinstance(event, Metered)]
    assert (found[-1].input_tokens, found[-1].output_tokens, found[-1].reasoning_tokens) == (9, 8, 3)


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"candidates":[]}', b'{"promptFeedback":{}}'])
def test_a_body_without_candidates_is_no_answer(body: bytes) -> None:
    assert PROVIDER.answer(body, ASKED) is None
