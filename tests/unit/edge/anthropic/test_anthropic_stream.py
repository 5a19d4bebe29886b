"""Anthropic streams between client and provider of the same protocol: passed on, tapped, ended after they are settled."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_common.rating import Usage
from tt_edge.protocols.anthropic.answer import parse_answer
from tt_edge.protocols.anthropic.stream import StreamTap
from tt_edge.protocols.anthropic.usage import read_usage, usage_of
from tt_edge.protocols.passthrough import with_cost

START_USAGE = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 50,
    "cache_read_input_tokens": 7,
    "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
    "output_tokens": 1,
    "service_tier": "priority",
}
END_USAGE = {
    "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 5},
    "output_tokens": 12,
    "output_tokens_details": {"thinking_tokens": 4},
}


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields}, ensure_ascii=False)}\n\n".encode()


def start(model: str = "claude-upstream", usage: Any = START_USAGE) -> bytes:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [], "usage": usage}
    return event("message_start", message=message)


def delta(index: int, **fields: Any) -> bytes:
    return event("content_block_delta", index=index, delta=fields)


THINKING = {"type": "thinking", "thinking": "", "signature": ""}
TOOL = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
EVENTS = [
    start(),
    event("content_block_start", index=0, content_block=THINKING),
    event("ping"),
    delta(0, type="thinking_delta", thinking="hm ä"),
    delta(0, type="signature_delta", signature="c2ln"),
    event("content_block_stop", index=0),
    event("content_block_start", index=1, content_block={"type": "text", "text": ""}),
    delta(1, type="text_delta", text="Hel"),
    b": a comment\n\n",
    delta(1, type="text_delta", text="lo\n\n"),
    event("content_block_stop", index=1),
    event("of_the_future", something={"new": 1.50}),
    event("content_block_start", index=2, content_block=TOOL),
    delta(2, type="input_json_delta", partial_json='{"at":1}'),
    event("content_block_stop", index=2),
]
MESSAGE_DELTA = event("message_delta", delta={"stop_reason": "tool_use"}, usage=END_USAGE)
STOP = event("message_stop")
STREAM = b"".join([*EVENTS, MESSAGE_DELTA, STOP])


def told(stream: bytes, cuts: list[int]) -> tuple[bytes, StreamTap]:
    tap = StreamTap("asked", hour_cache=False)
    edges = [0, *sorted(cuts), len(stream)]
    out = b"".join(tap.feed(stream[a:b]) for a, b in pairwise(edges))
    return out + tap.end() + tap.tail("0.001"), tap


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_split_of_the_providers_bytes_gives_the_same_events(cuts: list[int]) -> None:
    assert told(STREAM, cuts)[0] == told(STREAM, [])[0]


def test_only_the_model_and_the_cost_are_changed() -> None:
    out, _ = told(STREAM, [])

    expected = STREAM.replace(b'"claude-upstream"', b'"asked"')
    assert out == expected.replace(b'"thinking_tokens": 4}}', b'"thinking_tokens": 4},"cost":0.001}')


def test_the_end_is_held_back_until_the_call_is_settled() -> None:
    tap = StreamTap("asked", hour_cache=False)

    passed = tap.feed(STREAM)

    assert b"message_delta" not in passed
    assert b"message_stop" not in passed
    assert tap.complete
    assert tap.tail("0.5").endswith(STOP)


def test_usage_is_cumulative_and_the_split_of_cache_writes_is_kept_from_the_start() -> None:
    _, tap = told(STREAM, [])

    assert tap.usage == Usage(
        input_tokens=10,
        cache_read_tokens=7,
        cache_write_5m_tokens=20,
        cache_write_1h_tokens=30,
        output_tokens=12,
        reasoning_tokens=4,
        server_tool_calls=2,
    )
    assert tap.service_tier == "priority"


def test_counts_of_message_delta_replace_those_of_message_start() -> None:
    again = {**END_USAGE, "input_tokens": 11, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 50}
    stream = start() + event("message_delta", delta={}, usage={**again, "output_tokens": 3})

    _, tap = told(stream + event("message_delta", delta={}, usage=again) + STOP, [])

    assert tap.usage is not None
    assert (tap.usage.input_tokens, tap.usage.cache_read_tokens, tap.usage.output_tokens) == (11, 0, 12)
    assert tap.usage.prompt_tokens == 61


def test_what_only_message_start_said_is_no_usage_figure() -> None:
    _, tap = told(b"".join(EVENTS), [])

    assert tap.usage is None
    assert tap.prompt is not None
    assert (tap.prompt.input_tokens, tap.prompt.cache_read_tokens, tap.prompt.output_tokens) == (10, 7, 0)
    assert not tap.complete


def test_texts_thoughts_names_and_arguments_are_counted() -> None:
    _, tap = told(STREAM, [])

    assert "".join(tap.texts) == 'hm äHello\n\nlook{"at":1}'
    assert tap.output_estimate >= 4
    assert tap.recount() == tap.output_estimate


def test_a_stream_without_message_stop_is_not_complete_even_after_message_delta() -> None:
    out, tap = told(b"".join([*EVENTS, MESSAGE_DELTA]), [])

    assert not tap.complete
    assert b"message_delta" not in out


def test_a_last_event_without_a_blank_line_counts() -> None:
    _, tap = told(STREAM.rstrip(), [])

    assert tap.complete


def test_an_error_is_final() -> None:
    error = event("error", error={"type": "overloaded_error", "message": "Overloaded"})

    out, tap = told(start() + error + STREAM, [])

    assert tap.failed
    assert not tap.complete
    assert out.endswith(error)


@pytest.mark.parametrize("noise", [b"data: no json\n\n", b"event: x\ndata: [1]\n\n", b'data: {"delta":{"text":5}}\n\n'])
def test_what_can_not_be_read_is_passed_on(noise: bytes) -> None:
    out, _ = told(start() + noise + STREAM, [])

    assert noise in out


def test_a_usage_that_is_no_utf8_is_missing_and_the_stream_goes_on() -> None:
    broken = start(usage={"service_tier": "TIER"}).replace(b"TIER", b"\x80")
    end = event("message_delta", delta={}, usage={"output_tokens": 1, "service_tier": "TIER"}).replace(b"TIER", b"\x80")

    out, tap = told(broken + end + STOP, [])

    assert tap.complete
    assert tap.usage is None
    assert out.endswith(end + STOP)


@pytest.mark.parametrize(
    ("written", "hour_cache", "expected"),
    [
        ({"cache_creation_input_tokens": 50}, False, (50, 0)),
        ({"cache_creation_input_tokens": 50}, True, (0, 50)),
        ({"cache_creation_input_tokens": 50, "cache_creation": {"ephemeral_5m_input_tokens": 20}}, True, (20, 30)),
        ({"cache_creation": {"ephemeral_1h_input_tokens": 30}}, False, (0, 30)),
        ({}, True, (0, 0)),
    ],
)
def test_cache_writes_of_no_told_kind_are_priced_by_what_the_request_marked(
    written: dict[str, Any], hour_cache: bool, expected: tuple[int, int]
) -> None:
    wire = read_usage(json.dumps({"input_tokens": 1, "output_tokens": 1, **written}).encode())
    assert wire is not None
    usage = usage_of(wire, hour_cache=hour_cache)
    assert usage is not None
    assert (usage.cache_write_5m_tokens, usage.cache_write_1h_tokens) == expected


def test_an_odd_usage_object_leaves_as_it_came() -> None:
    assert with_cost(b'{"\\u0061":1,"\x80":2}', "0.1") == b'{"\\u0061":1,"\x80":2}'


def test_fast_mode_is_a_tier_of_its_own() -> None:
    wire = read_usage(b'{"input_tokens":1,"output_tokens":1,"service_tier":"standard","speed":"fast"}')
    assert wire is not None
    assert wire.tier == "fast"


@pytest.mark.parametrize(
    "usage",
    [
        "{}",
        "null",
        '{"input_tokens":5}',
        '{"output_tokens":5}',
        '{"input_tokens":-1,"output_tokens":5}',
        '{"input_tokens":1,"output_tokens":99999999999}',
        '{"input_tokens":"1","output_tokens":2}',
    ],
)
def test_a_usage_without_a_usable_figure_is_missing_and_never_zero(usage: str) -> None:
    body = b'{"type":"message","model":"m","content":[{"type":"text","text":"Hi"}],"usage":%b}' % usage.encode()

    answer = parse_answer(body, hour_cache=False)

    assert answer is not None
    assert answer.usage is None
    assert answer.texts() == ["Hi"]


def test_a_whole_answer_changes_in_model_and_cost_alone() -> None:
    content = b'"content":[{"type":"text","text":"\xc3\xa4 model"}]'
    body = b'{"id": "1",%b,"model":"up", "usage":{"input_tokens":1,"output_tokens":2},"x":1.50}' % content

    answer = parse_answer(body, hour_cache=False)

    assert answer is not None
    assert answer.rendered("asked", "0.25") == body.replace(b'"up"', b'"asked"').replace(
        b'"output_tokens":2}', b'"output_tokens":2,"cost":0.25}'
    )


def test_the_models_name_is_found_where_the_model_says_it_too() -> None:
    body = b'{"content":[{"type":"tool_use","id":"1","name":"n","input":{"a":"up"}}],"model":"up"}'

    answer = parse_answer(body, hour_cache=False)

    assert answer is not None
    rendered = json.loads(answer.rendered("asked", "0"))
    assert rendered["model"] == "asked"
    assert rendered["content"][0]["input"] == {"a": "up"}
    assert answer.texts() == ['n{"a":"up"}']


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"type":"error","error":{}}', b'{"content":"x"}', b"\xff"])
def test_what_is_no_message_is_no_answer(body: bytes) -> None:
    assert parse_answer(body, hour_cache=False) is None
