"""Canonical answers and streams in Gemini's form, and what its clients send back of them."""

import base64
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_common.errors import DomainError
from tt_common.rating import Usage
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
from tt_edge.protocols.gemini.client import GeminiClient
from tt_edge.protocols.gemini.protocol import GEMINI
from tt_edge.protocols.gemini.request import parse_generate, parse_stream
from tt_edge.protocols.port import Attempted, Target

CLIENT = GeminiClient()
PATH = "/v1beta/models/asked:generateContent"
ASK: list[Any] = [{"role": "user", "parts": [{"text": "hi"}]}]
USAGE = Usage(input_tokens=5, cache_read_tokens=4, audio_input_tokens=1, output_tokens=7, reasoning_tokens=2)
ENDINGS = {0: Ending(reason="tool_use")}
EVENTS: list[Event] = [
    ThinkingDelta("hm "),
    ThinkingDelta("ä"),
    TextDelta("Hel"),
    TextDelta("lo % \n\n"),
    ToolStarted(0, "a", "look", "c2ln"),
    ToolDelta(0, '{"at"'),
    ToolStarted(1, "b", "now"),
    ToolDelta(0, ":1}"),
    ToolDelta(1, "{}"),
]
WHOLE = Choice(
    blocks=(
        Thinking(text="hm ä"),
        Text(text="Hello % \n\n"),
        ToolUse(id="a", name="look", arguments='{"at":1}', signature="c2ln"),
        ToolUse(id="b", name="now", arguments="{}"),
    ),
    ending=ENDINGS[0],
)
REQUEST = parse_generate(Target(PATH, b"", {}), json.dumps({"contents": ASK}).encode())


def stream_of(events: list[Event], endings: dict[int, Ending] = ENDINGS) -> list[bytes]:
    writer = CLIENT.writer(REQUEST, "evt_1")
    out = b"".join(writer.write(event) for event in events) + writer.finish(endings, USAGE, "", "0.001")
    return out.removesuffix(b"\n\n").split(b"\n\n")


def together(pieces: list[Any]) -> list[Any]:
    parts: list[Any] = []
    for piece in pieces:
        for part in piece["candidates"][0]["content"]["parts"]:
            last = parts[-1] if parts else {}
            if "text" in part and "text" in last and last.get("thought") == part.get("thought"):
                last["text"] += part["text"]
            else:
                parts.append(part)
    return parts


def test_a_stream_put_together_is_the_whole_answer() -> None:
    answer = ChatAnswer(choices=(WHOLE,), usage=USAGE)
    whole = json.loads(CLIENT.whole(answer, REQUEST, "asked", "evt_1", "0.001"))
    pieces = [json.loads(piece[6:]) for piece in stream_of(EVENTS)]

    assert together(pieces) == whole["candidates"][0]["content"]["parts"]
    assert pieces[-1]["candidates"][0]["finishReason"] == whole["candidates"][0]["finishReason"] == "STOP"
    assert pieces[-1]["usageMetadata"] == whole["usageMetadata"]
    assert {(piece["modelVersion"], piece["responseId"]) for piece in [whole, *pieces]} == {("asked", "evt_1")}
    assert all("finishReason" not in piece["candidates"][0] for piece in pieces[:-1])
    assert all(piece["candidates"][0]["content"]["role"] == "model" for piece in pieces)


def test_pitfall_16_usage_is_told_in_googles_sums() -> None:
    assert json.loads(stream_of([])[-1][6:])["usageMetadata"] == {
        "promptTokenCount": 10,
        "cachedContentTokenCount": 4,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 2,
        "totalTokenCount": 17,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}, {"modality": "AUDIO", "tokenCount": 1}],
        "cost": 0.001,
    }


@pytest.mark.parametrize(
    ("reason", "finish"), [("end", "STOP"), ("length", "MAX_TOKENS"), ("refusal", "SAFETY"), ("stop_sequence", "STOP")]
)
def test_pitfall_19_why_an_answer_ended(reason: Any, finish: str) -> None:
    pieces = stream_of([RefusalDelta("I can't.")], {0: Ending(reason=reason)})
    assert json.loads(pieces[-1][6:])["candidates"][0]["finishReason"] == finish
    assert "I can't." in pieces[0].decode()


def test_choices_keep_their_index_and_an_end_that_was_not_said_is_one() -> None:
    pieces = [
        json.loads(piece[6:])
        for piece in stream_of([TextDelta("b", 1), ToolStarted(0, "x", "f", choice=2)], {1: Ending(reason="end")})
    ]
    assert pieces[0]["candidates"][0]["index"] == 1
    assert [candidate["index"] for candidate in pieces[-1]["candidates"]] == [1, 2]


def chunk(delta: Any, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice], **more}).encode() + b"\n\n"


UPSTREAM = b"".join(
    [
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "ä\u2028"}),
        chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "look", "arguments": '{"a":'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}, "tool_calls"),
        b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n',
        b"data: [DONE]\n\n",
    ]
)


def translated(cuts: list[int], *, array: bool) -> bytes:
    path = "/v1/models/asked:streamGenerateContent"
    request = parse_stream(Target(path, b"" if array else b"alt=sse", {}), json.dumps({"contents": ASK}).encode())
    tap = GEMINI.bridge(request, "openai", "evt_1").tap()
    edges = [0, *sorted(cuts), len(UPSTREAM)]
    out = b"".join(tap.feed(UPSTREAM[a:b]) for a, b in pairwise(edges))
    assert tap.complete
    return out + tap.tail("0.001")


@given(st.lists(st.integers(0, len(UPSTREAM)), max_size=12), st.booleans())
def test_any_split_of_another_vendors_bytes_gives_the_same_stream(cuts: list[int], array: bool) -> None:
    assert translated(cuts, array=array) == translated([], array=array)


def test_a_translated_array_is_the_same_pieces_as_the_events() -> None:
    pieces = [json.loads(piece[6:]) for piece in translated([], array=False).removesuffix(b"\n\n").split(b"\n\n")]
    assert json.loads(translated([], array=True)) == pieces
    assert pieces[-1]["candidates"][0]["content"]["parts"][0]["functionCall"]["args"] == {"a": 1}


def test_what_the_other_side_lacks_is_refused_in_geminis_words() -> None:
    body = json.dumps({"contents": ASK, "generationConfig": {"topK": 3}}).encode()
    bridge = GEMINI.bridge(parse_generate(Target(PATH, b"", {}), body), "openai", "evt_1")
    with pytest.raises(DomainError) as refused:
        bridge.outgoing(Attempted("m", None, 1))
    assert refused.value.data["param"] == "generationConfig.topK"


def test_pitfall_10_a_thought_of_another_vendor_comes_back_whole_from_the_pieces_of_a_stream() -> None:
    # given a stream with a signed thought, a redacted one, and a text
    events: list[Event] = [
        ThinkingDelta("let me "),
        ThinkingDelta("see"),
        ThinkingSigned("sig>>>>???~~~ä", "anthropic"),
        ThinkingSigned("hidden", "anthropic", redacted=True),
        TextDelta("It "),
        TextDelta("is."),
    ]
    written = [json.loads(piece[6:]) for piece in stream_of(events)]
    # when a client sends the pieces back as its SDK collected them: bytes are written anew, in the other alphabet
    contents = [candidate["content"] for piece in written for candidate in piece["candidates"]]
    for content in contents:
        for part in content["parts"]:
            if "thoughtSignature" in part:
                raw = base64.b64decode(part["thoughtSignature"], validate=True)
                other = base64.urlsafe_b64encode(raw).decode().rstrip("=")
                part["thoughtSignature"] = other
    assert "_" in json.dumps(contents) or "-" in json.dumps(contents)
    # then
    body = json.dumps({"contents": [*ASK, *contents]}).encode()
    asked = CLIENT.canonical(parse_generate(Target(PATH, b"", {}), body))
    assert asked.turns[1].blocks == (
        Thinking(text="let me see", signature="sig>>>>???~~~ä", vendor="anthropic"),
        Thinking(signature="hidden", vendor="anthropic", redacted=True),
        Text(text="It is."),
    )
