"""OpenAI streams on their way through: the same for any split of the bytes, and readable by the vendor's own SDK."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI, Stream
from openai.types.chat import ChatCompletionChunk

from tt_common.rating import Usage
from tt_edge.protocols.openai.stream import StreamTap
from tt_edge.protocols.sse import FRAME_BYTES_MAX, FrameSplitter, FrameTooLarge

ASKED = 'my "model" ü'
UPSTREAM = 'up/"stream" ü'
COST = "0.000000123"
DONE = "data: [DONE]\n\n"


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": UPSTREAM,
        "choices": choices,
        **fields,
    }


USAGE_ALONE = b'"model":"other","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}'
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
CHUNKS = [
    chunk({"role": "assistant", "content": ""}, usage=None),
    chunk({"content": "Hällo"}, usage=None),
    chunk({"content": ',"usage":null "model":"x"\n\ndata: [DONE]'}, usage=None),
    chunk({}, "stop", usage=None),
    chunk(usage=USAGE),
]


def event(value: dict[str, Any], ascii_only: bool = False, compact: bool = True) -> str:
    return f"data: {json.dumps(value, ensure_ascii=ascii_only, separators=(',', ':') if compact else None)}\n\n"


WIRE = "".join((": keep-alive\n\n", *(event(value) for value in CHUNKS), DONE)).encode()


def relay(wire: bytes, cuts: list[int], wants_usage: bool = True, asked: str = ASKED) -> tuple[bytes, StreamTap]:
    """What the client gets when the provider's bytes arrive cut at `cuts`."""
    tap = StreamTap(asked, wants_usage)
    borders = [0, *sorted(cuts), len(wire)]
    out = b"".join(tap.feed(wire[start:end]) for start, end in pairwise(borders) if end > start)
    tap.end()
    return out + tap.tail(COST), tap


def events(out: bytes) -> list[Any]:
    """The data of every event; the comments left out."""
    texts = [line[5:].strip() for line in out.decode().split("\n") if line.startswith("data:")]
    return [text if text == "[DONE]" else json.loads(text) for text in texts]


CUTS = st.lists(st.integers(0, len(WIRE) * 2), max_size=20)


@given(CUTS, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_any_split_gives_the_same_bytes(cuts: list[int], newline: str, wants_usage: bool) -> None:
    # given the stream with either line end, cut anywhere
    wire = WIRE.replace(b"\n", newline.encode())
    whole, read = relay(WIRE, [], wants_usage)

    # when
    out, tap = relay(wire, [cut for cut in cuts if cut < len(wire)], wants_usage)

    # then
    assert out == whole
    assert (tap.usage, tap.texts, tap.output_estimate) == (read.usage, read.texts, read.output_estimate)
    assert tap.complete


@given(CUTS, st.sampled_from(["\n", "\r\n"]))
def test_events_with_names_ids_and_comments_are_read_as_their_data_alone(cuts: list[int], newline: str) -> None:
    # given a provider that names and numbers its events
    data = [json.dumps(value) for value in CHUNKS] + ["[DONE]"]
    named = "".join(f"event: message\nid: {number}\n: note\ndata: {text}\n\n" for number, text in enumerate(data))
    wire = named.replace("\n", newline).encode()

    # when
    out, tap = relay(wire, [cut for cut in cuts if cut < len(wire)])

    # then the model is renamed and the usage read as in a stream without them
    plain, read = relay(WIRE, [])
    assert events(out) == events(plain)
    assert (tap.usage, tap.texts, tap.complete) == (read.usage, read.texts, True)
    assert b"event:" not in out


@pytest.mark.parametrize("form", ["id: 1\n{}\n\n", "{}\nid: 1\n\n", "{}\n: note\n\n", "{}\n\n"])
def test_an_event_of_several_lines_leaves_as_one_line_of_data(form: str) -> None:
    # given data in two lines, with another line before or after it
    data = event(chunk({"content": "x"})).strip().replace(',"model"', ',\ndata: "model"')
    wire = form.format(data) + event(chunk({}, "stop")) + DONE

    # when
    out, tap = relay(wire.encode(), [])

    # then
    assert tap.texts == ["x"]
    assert events(out)[0] == {**chunk({"content": "x"}), "model": ASKED}


def test_an_event_without_data_passes_as_it_is() -> None:
    out, tap = relay(b"event: ping\nid: 7\n\n" + WIRE, [])
    assert out.startswith(b"event: ping\nid: 7\n\n")
    assert tap.complete


def test_every_single_byte_on_its_own_gives_the_same() -> None:
    wire = WIRE.replace(b"\n", b"\r\n")
    assert relay(wire, list(range(len(wire))))[0] == relay(WIRE, [])[0]


@pytest.mark.parametrize("wants_usage", [True, False])
def test_pitfall_18_the_usage_chunk_is_forwarded_with_its_cost_only_when_asked_for(wants_usage: bool) -> None:
    out, tap = relay(WIRE, [], wants_usage)
    assert tap.usage == Usage(input_tokens=5, output_tokens=2)
    with_usage = [value for value in events(out)[:-1] if value.get("usage")]
    if wants_usage:
        assert [value["usage"] for value in with_usage] == [{**USAGE, "cost": 0.000000123}]
        assert COST.encode() in out
    else:
        assert with_usage == []
        assert all("usage" not in value for value in events(out)[:-1])


def test_the_model_is_renamed_and_the_content_is_not() -> None:
    out, _ = relay(WIRE, [])
    values = events(out)[:-1]
    assert {value["model"] for value in values} == {ASKED}
    text = "".join(choice["delta"].get("content", "") for value in values for choice in value["choices"])
    assert text == 'Hällo,"usage":null "model":"x"\n\ndata: [DONE]'


@pytest.mark.parametrize(("ascii_only", "compact"), [(True, True), (False, False), (True, False)])
def test_the_model_is_renamed_however_the_provider_writes_it(ascii_only: bool, compact: bool) -> None:
    wire = "".join(event(value, ascii_only, compact) for value in CHUNKS) + DONE
    assert {value["model"] for value in events(relay(wire.encode(), [])[0])[:-1]} == {ASKED}


def test_a_model_that_changes_in_the_middle_is_renamed_too() -> None:
    wire = event(chunk({"content": "a"})) + event({**chunk({"content": "b"}, "stop"), "model": "other"}) + DONE
    assert {value["model"] for value in events(relay(wire.encode(), [])[0])[:-1]} == {ASKED}


def test_a_stream_of_the_asked_model_passes_byte_for_byte() -> None:
    wire = ("".join(event(value) for value in CHUNKS[:4]) + DONE).encode()
    assert relay(wire, [], asked=UPSTREAM)[0] == wire


def test_pitfall_18_usage_on_every_chunk_keeps_the_last_and_is_stripped_where_nobody_asked() -> None:
    # given a provider that repeats usage
    growing = [
        chunk({"content": "a"}, usage={"prompt_tokens": 5, "completion_tokens": 1}),
        chunk({"content": "b"}, "stop", usage={"prompt_tokens": 5, "completion_tokens": 2}),
    ]
    wire = ("".join(event(value) for value in growing) + DONE).encode()

    # then
    plain, tap = relay(wire, [], wants_usage=False)
    assert tap.usage == Usage(input_tokens=5, output_tokens=2)
    assert all("usage" not in value for value in events(plain)[:-1])
    assert [value["usage"]["completion_tokens"] for value in events(relay(wire, [])[0])[:-1]] == [1, 2]


def test_pitfall_18_a_usage_chunk_with_choices_null_is_understood() -> None:
    wire = (event(chunk({"content": "a"}, "stop")) + event({**chunk(usage=USAGE), "choices": None}) + DONE).encode()
    out, tap = relay(wire, [])
    assert tap.usage == Usage(input_tokens=5, output_tokens=2)
    assert events(out)[-2]["usage"]["cost"] == 0.000000123


def test_done_and_usage_are_held_back_until_the_call_is_settled() -> None:
    # given everything of the stream fed
    tap = StreamTap(ASKED, wants_usage=True)
    fed = tap.feed(WIRE)

    # then neither has left, and both come with the tail, in that order
    assert b"[DONE]\n" not in fed
    assert b"prompt_tokens" not in fed
    assert tap.complete
    tail = events(tap.tail(COST))
    assert tail[0]["usage"]["cost"] == 0.000000123
    assert tail[1] == "[DONE]"


@pytest.mark.parametrize("end", range(0, len(WIRE) - len(DONE), 37))
def test_a_stream_cut_off_before_its_finish_reason_is_not_complete(end: int) -> None:
    out, tap = relay(WIRE[:end], [])
    assert tap.complete == tap.finished
    assert tap.complete == out.endswith(DONE.encode())
    assert (b'"finish_reason":"stop"' in out) == tap.finished


def test_a_finish_reason_without_done_is_complete_and_done_is_added() -> None:
    out, tap = relay(event(chunk({"content": "a"}, "stop")).encode(), [])
    assert tap.complete
    assert out.endswith(DONE.encode())


def test_done_without_its_blank_line_counts() -> None:
    _, tap = relay(b"data: [DONE]", [])
    assert tap.complete


@pytest.mark.parametrize("ending", [DONE, "data: [DONE]", "", event(chunk({}, "stop"))])
def test_an_error_event_fails_the_stream_whatever_follows(ending: str) -> None:
    # given
    wire = (event(chunk({"content": "a"})) + 'data: {"error":{"message":"overloaded"}}\n\n' + ending).encode()

    # when
    out, tap = relay(wire, [])

    # then the client gets the provider's error and no [DONE]
    assert tap.failed
    assert not tap.complete
    assert b"overloaded" in out
    assert b"[DONE]" not in out


@pytest.mark.parametrize("code", [b"1e999", b'"\xff"'])
def test_an_error_that_cannot_be_decoded_is_an_error_all_the_same(code: bytes) -> None:
    _, tap = relay(b'data: {"error":{"code":' + code + b"}}\n\n" + DONE.encode(), [])
    assert (tap.failed, tap.complete) == (True, False)


def test_an_error_of_null_is_none() -> None:
    _, tap = relay((event(chunk({"content": "a"}, "stop", error=None)) + DONE).encode(), [])
    assert tap.complete
    assert not tap.failed


def test_tool_call_deltas_are_counted() -> None:
    # given arguments in pieces
    call = {"index": 0, "id": "t1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    more = {"index": 0, "function": {"arguments": '{"city":"Berlin"}' * 4}}
    wire = (event(chunk({"tool_calls": [call]})) + event(chunk({"tool_calls": [more]}, "tool_calls")) + DONE).encode()

    # then
    _, tap = relay(wire, [])
    assert "".join(tap.texts) == "weather" + '{"city":"Berlin"}' * 4
    assert tap.output_estimate >= 18


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"5",
        b"[]",
        b'{"choices":5}',
        b'{"choices":[{"delta":{"content":"\xff"}}]}',
        b"nonsense",
        b'{"choices":[{"delta":{"content":' + b"[" * 100_000,
    ],
    ids=range(7),
)
def test_what_is_no_chunk_passes_through_and_harms_nothing(payload: bytes) -> None:
    out, tap = relay(b"data: " + payload + b"\n\n" + WIRE, [])
    assert out.startswith(b"data: " + payload + b"\n\n")
    assert tap.complete


@pytest.mark.parametrize(
    ("part", "wants_usage"),
    [(b'"model":"other"', True), (b'"choices":[{}],"usage":{"prompt_tokens":5}', False), (USAGE_ALONE, True)],
    ids=["renamed", "without usage", "with cost"],
)
def test_an_event_that_is_no_text_throughout_leaves_as_it_came(part: bytes, wants_usage: bool) -> None:
    # given a chunk with a field whose name nobody looks at until all fields are read; the model's name stands twice
    frame = b'data: {"\xff":{"model":"other"},' + part + b"}\n\n"
    tap = StreamTap(ASKED, wants_usage)

    # when
    out = tap.feed(frame + DONE.encode())
    tap.end()

    # then
    assert out + tap.tail(COST) == frame + DONE.encode()


def test_an_event_without_end_is_given_up() -> None:
    splitter = FrameSplitter()
    splitter.feed(b"x" * FRAME_BYTES_MAX)
    with pytest.raises(FrameTooLarge):
        splitter.feed(b"x")


@pytest.fixture(scope="module")
def sdk() -> Iterator[OpenAI]:
    with OpenAI(api_key="sk-x", base_url="http://127.0.0.1") as client:
        yield client


@given(cuts=CUTS)
def test_the_openai_sdk_reads_what_comes_out(sdk: OpenAI, cuts: list[int]) -> None:
    # given the relayed stream as an HTTP response, in the pieces in which it was fed
    out, _ = relay(WIRE, [cut for cut in cuts if cut < len(WIRE)])
    response = httpx2.Response(200, content=out, headers={"content-type": "text/event-stream"})

    # when the vendor's own decoder reads it
    read = list(Stream(cast_to=ChatCompletionChunk, response=response, client=sdk))

    # then
    assert "".join(part.choices[0].delta.content or "" for part in read if part.choices).startswith("Hällo")
    assert {part.model for part in read} == {ASKED}
    assert read[-1].usage is not None
    assert (read[-1].usage.total_tokens, read[-1].usage.model_extra) == (7, {"cost": 0.000000123})
