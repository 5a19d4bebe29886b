"""A completion and its stream say the same: to the vendor's own SDK, whichever of the two was kept."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tt_common.rating import Usage
from tt_edge.protocols.openai.forms import PIECES_MAX, stream_of, whole_of
from tt_edge.protocols.openai.keep import KEPT_BYTES_MAX, keep_stream, keep_whole, payloads
from tt_edge.protocols.openai.stream import StreamTap

USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 4,
    "total_tokens": 13,
    "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
}
CACHED_USAGE = {**USAGE, "prompt_tokens_details": {"cached_tokens": 9, "audio_tokens": 0}}

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)
tool_calls = st.lists(
    st.builds(
        lambda number, arguments: {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": f"tool_{number}", "arguments": arguments},
        },
        st.integers(0, 99),
        texts,
    ),
    max_size=3,
)
logprobs = st.none() | st.fixed_dictionaries(
    {
        "content": st.lists(
            st.fixed_dictionaries(
                {"token": texts, "logprob": st.floats(-9, 0), "bytes": st.none(), "top_logprobs": st.just([])}
            ),
            max_size=3,
        ),
        "refusal": st.none(),
    }
)


@st.composite
def completions(draw: st.DrawFn) -> dict[str, Any]:
    choices: list[dict[str, Any]] = []
    for index in range(draw(st.integers(1, 3))):
        calls = draw(tool_calls)
        message = {"role": "assistant", "content": draw(st.none() | texts), "refusal": draw(st.none() | texts)}
        if calls:
            message["tool_calls"] = calls
        finish = "tool_calls" if calls else "stop"
        choices.append({"index": index, "message": message, "logprobs": draw(logprobs), "finish_reason": finish})
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "gpt-4o-mini",
        "choices": choices,
        "usage": USAGE,
        "service_tier": "default",
        "system_fingerprint": "fp_1",
    }


def encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def accumulated(stream: bytes) -> dict[str, Any]:
    """What the vendor's SDK makes of the events."""
    state: Any = ChatCompletionStreamState()
    for payload in payloads(stream):
        list(state.handle_chunk(ChatCompletionChunk.model_validate(json.loads(payload))))
    return state.current_completion_snapshot.model_dump(exclude_none=True)


def parsed(body: bytes) -> dict[str, Any]:
    return ChatCompletion.model_validate(json.loads(body)).model_dump(exclude_none=True)


def without_indexes(completion: dict[str, Any]) -> dict[str, Any]:
    """The SDK leaves the tool calls' stream indexes and an empty `parsed` in."""
    for choice in completion["choices"]:
        for call in choice["message"].get("tool_calls") or ():
            call.pop("index", None)
            call["function"].pop("parsed_arguments", None)
    return completion


def chunk(delta: dict[str, Any] | None, finish: str | None = None, index: int = 0, **fields: Any) -> bytes:
    choices = [] if delta is None else [{"index": index, "delta": delta, "finish_reason": finish}]
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up"}
    return b"data: " + encoded({**head, "choices": choices, **fields}) + b"\n\n"


DONE = b"data: [DONE]\n\n"
STREAM = [
    chunk({"role": "assistant", "content": ""}, usage=None),
    b": keep-alive\n\n",
    chunk({"content": "Hello"}, usage=None),
    chunk({"content": " there"}, usage=None),
    chunk({}, "stop", usage=None),
    chunk(None, usage=USAGE),
]


@given(completions())
def test_a_completion_made_a_stream_and_back_is_the_same(completion: dict[str, Any]) -> None:
    assert json.loads(whole_of(stream_of(encoded(completion)))) == completion


@given(completions())
def test_the_sdk_puts_the_events_of_a_completion_together_to_that_completion(completion: dict[str, Any]) -> None:
    body = encoded(completion)
    assert without_indexes(accumulated(stream_of(body))) == parsed(body)


@given(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["content", "refusal", "reasoning_content"]), texts)),
    st.lists(st.tuples(st.integers(0, 1), texts)),
    st.booleans(),
)
def test_a_providers_stream_made_whole_is_what_the_sdk_puts_together(
    pieces: list[tuple[int, str, str]], arguments: list[tuple[int, str]], tools: bool
) -> None:
    # given a stream of two choices whose deltas take turns, with two tool calls
    wire = chunk({"role": "assistant"}, index=0) + chunk({"role": "assistant"}, index=1)
    wire += b"".join(chunk({name: text}, index=index) for index, name, text in pieces)
    if tools:
        for number in (0, 1):
            call = {"index": number, "id": f"call_{number}", "type": "function", "function": {"name": f"t{number}"}}
            wire += chunk({"tool_calls": [call]}, index=0)
        for number, text in arguments:
            wire += chunk({"tool_calls": [{"index": number, "function": {"arguments": text}}]}, index=0)
    wire += chunk({}, "stop", 0) + chunk({}, "stop", 1) + chunk(None, usage=USAGE) + DONE

    # then
    if tools:
        assert len(json.loads(whole_of(wire))["choices"][0]["message"]["tool_calls"]) == 2
        wire = wire.replace(b'"function": {"name"', b'"function": {"arguments": "", "name"')  # the SDK wants it
    assert parsed(whole_of(wire)) == without_indexes(accumulated(wire)) | {"object": "chat.completion"}


def test_names_that_a_provider_repeats_in_every_event_are_said_once() -> None:
    wire = b"".join(chunk({"role": "assistant", "content": text}) for text in ("a", "b")) + chunk({}, "stop") + DONE
    message = json.loads(whole_of(wire))["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "ab"}


def test_choices_that_come_in_any_order_are_put_in_theirs() -> None:
    wire = b"".join(chunk({"content": str(index)}, "stop", index) for index in (2, 0, 1)) + DONE
    assert [choice["message"]["content"] for choice in json.loads(whole_of(wire))["choices"]] == ["0", "1", "2"]


def test_numbers_stay_as_they_were_written() -> None:
    body = encoded({"choices": [{"index": 0, "message": {}, "finish_reason": "stop"}], "score": 0})
    body = body.replace(b'"score": 0', b'"score":1.10')
    assert b'"score":1.10' in stream_of(body)
    assert b'"score":1.10' in whole_of(stream_of(body))


def test_a_long_text_comes_in_a_bounded_number_of_events() -> None:
    completion = {"choices": [{"index": 0, "message": {"content": "word " * 100_000}, "finish_reason": "stop"}]}
    events = payloads(stream_of(encoded(completion)))
    assert PIECES_MAX // 2 < len(events) <= PIECES_MAX + 2


@pytest.mark.parametrize("wants_usage", [True, False])
def test_the_usage_chunk_is_replayed_exactly_when_it_is_asked_for(wants_usage: bool) -> None:
    for kept in (
        keep_stream(b"".join(STREAM) + DONE, limited=False),
        keep_whole(whole_of(b"".join(STREAM)), "chat", limited=False),
    ):
        assert kept is not None
        body = kept.body if kept.body.startswith(b"data:") else stream_of(kept.body)
        tap = StreamTap("asked", wants_usage)
        out = tap.feed(body) + tap.tail("0.0001")

        # then it comes last, with the cost; else no event mentions usage
        events = [json.loads(payload) for payload in payloads(out)]
        assert out.endswith(DONE)
        assert tap.complete
        assert {event["model"] for event in events} == {"asked"}
        if wants_usage:
            assert events[-1]["usage"] == {**CACHED_USAGE, "cost": 0.0001}
            assert [event["usage"] for event in events[:-1]] == [None] * (len(events) - 1)
        else:
            assert not [event for event in events if "usage" in event]


def test_what_is_kept_says_that_the_prompt_was_cached_and_remembers_what_it_had_cost() -> None:
    used = Usage(input_tokens=6, cache_read_tokens=3, output_tokens=4)
    stream = keep_stream(b"".join(STREAM) + DONE, limited=False)
    whole = keep_whole(whole_of(b"".join(STREAM)), "chat", limited=False)
    assert stream is not None and whole is not None
    assert stream.usage == whole.usage == used
    assert json.loads(whole.body)["usage"] == json.loads(whole_of(stream.body))["usage"] == CACHED_USAGE


def test_events_of_several_lines_are_kept_in_one() -> None:
    wire = b"event: message\nid: 1\n" + STREAM[2] + b"".join(STREAM[3:]) + DONE
    kept = keep_stream(wire, limited=False)
    assert kept is not None
    assert all(frame.startswith(b"data: ") and b"\n" not in frame for frame in kept.body.strip().split(b"\n\n"))


ERROR = b'data: {"error":{"message":"overloaded"}}\n\n'


@pytest.mark.parametrize(
    ("wire", "limited"),
    [
        ([*STREAM[:4], STREAM[5]], True),
        ([*STREAM[:4], chunk({}, "content_filter"), STREAM[5]], True),
        ([*STREAM[:4], chunk({}, "length"), STREAM[5]], False),
        ([*STREAM[:4], chunk({"content": "x"}, index=1), *STREAM[4:]], False),
        (STREAM[:5], False),
        ([*STREAM[:4], ERROR, *STREAM[4:]], False),
        ([*STREAM[:4], b"data: {broken\n\n", *STREAM[4:]], False),
        ([*STREAM[:3], chunk({"content": "x" * KEPT_BYTES_MAX}), *STREAM[4:]], False),
    ],
    ids=["no end", "filtered", "cut short", "one choice without end", "no usage", "error", "broken", "too large"],
)
def test_a_stream_that_is_not_whole_is_not_kept(wire: list[bytes], limited: bool) -> None:
    assert keep_stream(b"".join(wire) + DONE, limited=limited) is None


def test_an_answer_as_long_as_the_client_allowed_is_whole() -> None:
    wire = b"".join([*STREAM[:4], chunk({}, "length"), STREAM[5]]) + DONE
    assert keep_stream(wire, limited=True) is not None
    assert keep_whole(whole_of(wire), "chat", limited=True) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"usage": None},
        {"usage": {"prompt_tokens": -1}},
        {"choices": []},
        {"choices": [{"index": 0, "message": {}, "finish_reason": "content_filter"}]},
        {"choices": [{"index": 0, "message": {}, "finish_reason": "length"}]},
        {"choices": [{"index": 0, "message": {}, "finish_reason": None}]},
        {"error": {"message": "partly"}},
        {"padding": "x" * KEPT_BYTES_MAX},
    ],
    ids=["no usage", "absurd usage", "no choice", "filtered", "cut short", "no end", "error", "too large"],
)
def test_a_whole_answer_that_is_none_is_not_kept(change: dict[str, Any]) -> None:
    whole = json.loads(whole_of(b"".join(STREAM)))
    assert keep_whole(encoded(whole), "chat", limited=False) is not None
    assert keep_whole(encoded({**whole, **change}), "chat", limited=False) is None


def test_embeddings_are_kept_with_their_usage() -> None:
    kept = keep_whole(
        encoded({"data": [], "usage": {"prompt_tokens": 7, "total_tokens": 7}}), "embedding", limited=False
    )
    assert kept is not None
    assert kept.usage == Usage(input_tokens=7)
    assert json.loads(kept.body)["usage"]["prompt_tokens_details"] == {"cached_tokens": 7}
