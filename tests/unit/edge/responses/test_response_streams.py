"""Streams of the Responses API, passed through and translated: any split of the bytes gives the same, and broken ones never end well."""

import json
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_common.errors import DomainError
from tt_edge.protocols.openai.provider import OpenAIProvider
from tt_edge.protocols.port import Attempted, Bridge
from tt_edge.protocols.responses.canonical import canonical_of
from tt_edge.protocols.responses.client import ResponsesClient
from tt_edge.protocols.responses.native import NativeBridge
from tt_edge.protocols.responses.protocol import RESPONSES
from tt_edge.protocols.responses.request import parse_responses
from tt_edge.protocols.responses.seals import Seal, sealed, unsealed
from tt_edge.protocols.translate import Translated

USAGE = {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 3}
RESPONSE = {"id": "resp_1", "object": "response", "status": "completed", "model": "up", "output": [], "usage": USAGE}
NATIVE = [
    {
        "type": "response.created",
        "response": {**RESPONSE, "status": "in_progress", "usage": None},
        "sequence_number": 0,
    },
    {"type": "response.future_event", "field": {"x": 1.50}, "sequence_number": 1},
    {"type": "response.output_text.delta", "delta": "Hel\u00e4lo", "sequence_number": 2},
    {"type": "response.output_text.delta", "delta": " you", "sequence_number": 3},
    {"type": "response.completed", "response": RESPONSE, "sequence_number": 4},
]
CHAT = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "reasoning_content": "hm"}}]},
    {"choices": [{"index": 0, "delta": {"content": "Hel\u00e4lo"}}]},
    {"choices": [{"index": 0, "delta": {"content": " you"}}]},
    {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "f"}}]}}]},
    {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
    {
        "choices": [],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}},
    },
]


def events_of(parts: list[dict[str, Any]], named: bool) -> bytes:
    lines = [(f"event: {part['type']}\n" if named else "") + f"data: {json.dumps(part)}\n\n" for part in parts]
    return "".join(lines).encode()


STREAMS = {"native": events_of(NATIVE, named=True), "translated": events_of(CHAT, named=False) + b"data: [DONE]\n\n"}


def bridge(kind: str, **fields: Any) -> Bridge:
    request = parse_responses(json.dumps({"model": "asked", "input": "Hi", "stream": True, **fields}).encode())
    if kind == "native":
        return NativeBridge(request)
    return Translated(RESPONSES, ResponsesClient(), OpenAIProvider(), request, "evt_1")


def told(kind: str, cuts: list[int]) -> bytes:
    stream, tap = STREAMS[kind], bridge(kind).tap()
    edges = [0, *sorted(cuts), len(stream)]
    out = b"".join(tap.feed(stream[a:b]) for a, b in pairwise(edges)) + tap.end()
    assert tap.complete
    assert tap.usage is not None
    assert (tap.usage.input_tokens, tap.usage.cache_read_tokens, tap.usage.output_tokens) == (5, 4, 3)
    return re.sub(rb'"created_at":\d+', b'"created_at":0', out + tap.tail("0.25"))


def payloads(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in out.split(b"\n") if line.startswith(b"data: ")]


@pytest.mark.parametrize("kind", ["native", "translated"])
@given(data=st.data())
def test_any_split_of_the_providers_bytes_gives_the_same_events(kind: str, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(STREAMS[kind])), max_size=12))
    assert told(kind, cuts) == told(kind, [])


def test_events_pass_through_byte_for_byte_but_for_model_and_cost() -> None:
    out = told("native", [])
    wanted = STREAMS["native"].replace(b'"model": "up"', b'"model": "asked"')
    assert out.startswith(wanted[: wanted.index(b"event: response.completed")])
    [*_, last] = payloads(out)
    assert last["response"]["usage"] == {**USAGE, "cost": 0.25}
    assert last["response"]["model"] == "asked"


def test_what_was_translated_is_numbered_and_every_item_is_opened_and_closed() -> None:
    events = payloads(told("translated", []))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    added = [event["output_index"] for event in events if event["type"] == "response.output_item.added"]
    done = [event["output_index"] for event in events if event["type"] == "response.output_item.done"]
    assert added == sorted(done) == [0, 1, 2]
    assert [item["type"] for item in events[-1]["response"]["output"]] == ["reasoning", "message", "function_call"]


@pytest.mark.parametrize("kind", ["native", "translated"])
def test_a_stream_without_its_end_is_no_success(kind: str) -> None:
    stream, tap = STREAMS[kind], bridge(kind).tap()
    tap.feed(stream[: len(stream) // 2])
    tap.end()
    assert not tap.complete
    assert tap.tail("0") == b""


def test_a_failed_response_is_passed_on_and_its_usage_is_known() -> None:
    tap = bridge("native").tap()
    failed = {"type": "response.failed", "response": {**RESPONSE, "status": "failed", "error": {"message": "no"}}}
    assert b"response.failed" in tap.feed(events_of([failed], named=True) + STREAMS["native"])
    assert tap.failed
    assert not tap.complete
    assert tap.usage is not None


def test_an_end_that_is_no_text_throughout_leaves_as_it_came_and_its_usage_counts() -> None:
    # given a last event with a field that is no UTF-8, and an item of a kind that is none
    item = b'{"id":1,"type":"\xff"}'
    end = (
        STREAMS["native"]
        .replace(b'"output": []', b'"output": [' + item + b"]")
        .replace(b'{"type"', b'{"\xff":0,"type"')
    )
    tap = bridge("native").tap()

    # when
    out = tap.feed(end) + tap.end() + tap.tail("0.25")

    # then
    assert tap.complete
    assert tap.usage is not None
    assert (tap.usage.input_tokens, tap.usage.server_tool_calls) == (5, 0)
    assert out.count(b'{"\xff":0,') == end.count(b'{"\xff":0,')
    assert item in out[out.index(b"response.completed") :]


def test_a_failed_response_in_one_piece_is_an_error() -> None:
    failed = json.dumps({**RESPONSE, "status": "failed", "error": {"message": "server trouble"}}).encode()
    with pytest.raises(DomainError, match="server trouble"):
        bridge("native").answer(failed)


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"type": "computer_call"}, "input[0].type"),
        ({"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}, "input[0].content[0]"),
        ({"type": "function_call", "name": "f"}, "input[0].call_id"),
        ({"role": "narrator", "content": "x"}, "input[0].role"),
    ],
)
def test_an_item_that_can_not_be_translated_is_refused_by_its_place(item: dict[str, Any], field: str) -> None:
    with pytest.raises(DomainError) as refused:
        bridge("translated", input=[item])
    assert refused.value.data["param"] == field


@given(
    st.builds(
        Seal,
        vendor=st.sampled_from(["openai", "anthropic", "gemini", None]),
        signature=st.text(),
        redacted=st.booleans(),
        call=st.booleans(),
    )
)
def test_a_seal_comes_back_as_it_was(seal: Seal) -> None:
    assert unsealed(sealed(seal)) == seal


@pytest.mark.parametrize("text", [None, "", "gAAAA", "tt1.", "tt1.%%%", "tt1.e30="])
def test_what_was_not_sealed_here_is_no_seal(text: str | None) -> None:
    assert unsealed(text) is None


def test_a_calls_signature_comes_back_to_the_call_behind_it() -> None:
    seal = sealed(Seal("gemini", "sig", call=True))
    said = [
        {"role": "user", "content": "go"},
        {"type": "reasoning", "summary": [], "encrypted_content": seal},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "done"},
    ]
    request = parse_responses(json.dumps({"model": "m", "input": said}).encode())
    turns = canonical_of(request).turns
    [call] = turns[1].blocks
    [result] = turns[2].blocks
    assert (call.signature, result.name) == ("sig", "f")  # pyright: ignore[reportAttributeAccessIssue]


def test_a_lowered_limit_reaches_the_provider() -> None:
    out = json.loads(bridge("native", max_output_tokens=900).outgoing(Attempted("up", 300, 4096)).body)
    assert (out["max_output_tokens"], out["model"]) == (300, "up")
