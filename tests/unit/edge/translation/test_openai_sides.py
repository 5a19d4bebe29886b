"""OpenAI chat through the canonical form and back: what it claims to keep is kept, what it can't keep is refused by name."""

import json
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_common.errors import DomainError
from tt_edge.protocols.canonical.answer import Ending, TextDelta, ThinkingDelta, ThinkingSigned
from tt_edge.protocols.openai.client import OpenAIClient
from tt_edge.protocols.openai.forms import whole_of
from tt_edge.protocols.openai.protocol import OPENAI
from tt_edge.protocols.openai.provider import OpenAIProvider
from tt_edge.protocols.openai.request import parse_chat
from tt_edge.protocols.port import Attempted
from tt_edge.protocols.translate import Translated

ATTEMPTED = Attempted("upstream", None, 4096)
TOOL = {
    "type": "function",
    "function": {"name": "look", "description": "Look it up.", "parameters": {"type": "object", "properties": {}}},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at":1}'}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
TALK = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
        ],
    },
    {"role": "assistant", "content": "I look.", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "A cat."},
    {"role": "user", "content": "Sure?"},
]


def bridge(body: dict[str, Any]) -> Translated:
    request = parse_chat(json.dumps(body).encode())
    return Translated(OPENAI, OpenAIClient(), OpenAIProvider(), request, "evt_1")


def sent(body: dict[str, Any]) -> dict[str, Any]:
    return json.loads(bridge(body).outgoing(ATTEMPTED).body)


def test_a_request_with_everything_comes_out_as_it_went_in() -> None:
    body = {
        "model": "asked",
        "messages": TALK,
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "parallel_tool_calls": False,
        "max_completion_tokens": 50,
        "n": 2,
        "temperature": 0.3,
        "top_p": 0.9,
        "stop": ["END"],
        "seed": 7,
        "frequency_penalty": 0.5,
        "presence_penalty": -0.5,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": {"type": "object"}, "strict": True},
        },
        "reasoning_effort": "high",
        "user": "u1",
        "service_tier": "flex",
    }
    assert sent(body) == {**body, "model": "upstream"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("logprobs", True),
        ("logit_bias", {"1": 5}),
        ("modalities", ["audio"]),
        ("functions", []),
        ("new_field", 1),
        ("store", True),
    ],
)
def test_a_field_that_can_not_be_translated_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(DomainError) as refused:
        bridge({"model": "m", "messages": TALK, field: value})
    assert (refused.value.code, refused.value.data["param"]) == ("invalid_request", field)


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([{"role": "narrator", "content": "x"}], "messages[0].role"),
        ([{"role": "user", "content": [{"type": "video", "url": "x"}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
        ([{"role": "tool", "content": "x"}], "messages[0].tool_call_id"),
        ([{"role": "assistant", "tool_calls": [{"id": "1"}]}], "messages[0].tool_calls[0].function"),
    ],
)
def test_a_wrong_message_is_refused_by_its_place(messages: list[Any], field: str) -> None:
    with pytest.raises(DomainError) as refused:
        bridge({"model": "m", "messages": messages})
    assert refused.value.data["param"] == field


def test_top_k_is_refused_in_the_clients_words() -> None:
    with pytest.raises(DomainError, match="'top_k' can't be used with this model"):
        sent({"model": "m", "messages": TALK, "top_k": 5})


def test_pictures_of_parallel_results_follow_after_the_last_of_them() -> None:
    # given two results of tools in a row, the first with a picture
    picture = {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}
    messages = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "tool_calls": [CALL, {**CALL, "id": "call_2"}]},
        {"role": "tool", "tool_call_id": "call_1", "content": [picture]},
        {"role": "tool", "tool_call_id": "call_2", "content": "two"},
    ]
    # when
    out = sent({"model": "m", "messages": messages})["messages"]
    # then
    assert [message["role"] for message in out] == ["user", "assistant", "tool", "tool", "user"]
    assert out[4]["content"][-1] == picture
    assert out[2]["content"]


def test_a_call_and_a_result_as_they_were_written_in_2023_are_a_pair() -> None:
    function = {"name": "look", "arguments": '{"at":1}'}
    messages = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "function_call": function},
        {"role": "function", "name": "look", "content": "A cat."},
    ]
    out = sent({"model": "m", "messages": messages})["messages"]
    assert out[1]["tool_calls"] == [{"id": "look", "type": "function", "function": function}]
    assert out[2] == {"role": "tool", "tool_call_id": "look", "content": "A cat."}


def test_parallel_calls_that_were_not_wanted_are_left_out() -> None:
    # given a dialect that has no word for it, and makes two
    body = {**REQUEST, "parallel_tool_calls": False}
    # when
    whole = bridge({**body, "stream": False, "stream_options": None}).answer(json.dumps(WHOLE).encode())
    tap = bridge(body).tap()
    stream = json.loads(whole_of(tap.feed(STREAM) + tap.tail("0")))
    # then
    assert whole is not None
    for answer in (json.loads(whole.rendered("asked", "0")), stream):
        assert answer["choices"][0]["message"]["tool_calls"] == [CALL]


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"model": "upstream", "choices": [choice], **more}).encode() + b"\n\n"


USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
STREAM = b"".join(
    [
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "hm "}),
        chunk({"reasoning_content": "ä"}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo\n\n"}),
        chunk(
            {
                "tool_calls": [
                    {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}
                ]
            }
        ),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"at"'}}]}),
        chunk(
            {
                "tool_calls": [
                    {"index": 1, "id": "call_2", "type": "function", "function": {"name": "look", "arguments": "{}"}}
                ]
            }
        ),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
        chunk({}, "tool_calls"),
        b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n",
        b"data: [DONE]\n\n",
    ]
)
WHOLE = {
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hello\n\n",
                "reasoning_content": "hm ä",
                "tool_calls": [CALL, {**CALL, "id": "call_2", "function": {"name": "look", "arguments": "{}"}}],
            },
            "finish_reason": "tool_calls",
        }
    ],
    "usage": USAGE,
}
REQUEST = {"model": "asked", "messages": TALK, "stream": True, "stream_options": {"include_usage": True}}


def told(cuts: list[int]) -> bytes:
    tap = bridge(REQUEST).tap()
    edges = [0, *sorted(cuts), len(STREAM)]
    out = b"".join(tap.feed(STREAM[a:b]) for a, b in pairwise(edges))
    assert tap.complete
    return re.sub(rb'"created":\d+', b'"created":0', out + tap.tail("0.001"))


def test_streamed_thoughts_come_in_one_delta_for_clients_that_keep_only_the_last() -> None:
    # given
    request = parse_chat(json.dumps(REQUEST).encode())
    writer = OpenAIClient().writer(request, "evt_1")
    events = [
        ThinkingDelta("hm "),
        ThinkingDelta("ä"),
        ThinkingSigned("signed", "anthropic"),
        ThinkingSigned("hidden", "anthropic", redacted=True),
        ThinkingDelta("not signed"),
        TextDelta("Hello"),
    ]
    # when
    stream = b"".join(map(writer.write, events)) + writer.finish({0: Ending(reason="end")}, None, "", "0")
    # then
    chunks = [json.loads(line[6:]) for line in stream.split(b"\n\n") if line.startswith(b"data: {")]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert [delta["reasoning_content"] for delta in deltas if "reasoning_content" in delta] == [
        "hm ",
        "ä",
        "not signed",
    ]
    [details] = [delta["reasoning_details"] for delta in deltas if "reasoning_details" in delta]
    assert [(detail.get("text"), detail.get("signature"), detail.get("data")) for detail in details] == [
        ("hm ä", "signed", None),
        (None, None, "hidden"),
        ("not signed", None, None),
    ]
    assert [detail["index"] for detail in details] == [0, 1, 2]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_split_of_the_providers_bytes_gives_the_same_events(cuts: list[int]) -> None:
    assert told(cuts) == told([])


def test_a_stream_put_together_is_the_whole_answer() -> None:
    answer = bridge({**REQUEST, "stream": False, "stream_options": None}).answer(json.dumps(WHOLE).encode())
    assert answer is not None
    whole = json.loads(answer.rendered("asked", "0.001"))
    together = json.loads(whole_of(told([])))
    for body in (whole, together):
        body.pop("created")
    assert together == whole
    assert whole["usage"]["cost"] == 0.001
    assert whole["choices"][0]["message"]["tool_calls"][0] == CALL


@pytest.mark.parametrize(
    ("said", "finish", "told_finish"),
    [({"refusal": "No."}, "stop", "stop"), ({"content": "No"}, "content_filter", "content_filter")],
)
def test_a_refusal_ends_as_openai_ends_it(said: dict[str, Any], finish: str, told_finish: str) -> None:
    tap = bridge(REQUEST).tap()
    tap.feed(chunk(said) + chunk({}, finish) + b"data: [DONE]\n\n")
    streamed = whole_of(tap.tail("0"))
    assert json.loads(streamed)["choices"][0]["finish_reason"] == told_finish
    message = {"role": "assistant", "content": None, **said}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": USAGE}
    whole = bridge({**REQUEST, "stream": False, "stream_options": None}).answer(json.dumps(body).encode())
    assert whole is not None
    assert json.loads(whole.rendered("m", "0"))["choices"][0]["finish_reason"] == told_finish


def test_a_call_that_was_named_ends_in_a_tool_call_though_the_vendor_says_stop() -> None:
    call = {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "look", "arguments": "{}"}}]}
    tap = bridge(REQUEST).tap()
    tap.feed(chunk(call) + chunk({}, "stop") + b"data: [DONE]\n\n")
    assert json.loads(whole_of(tap.tail("0")))["choices"][0]["finish_reason"] == "tool_calls"


def test_usage_is_counted_in_classes_that_share_nothing() -> None:
    tap = bridge(REQUEST).tap()
    tap.feed(STREAM)
    assert tap.usage is not None
    assert (tap.usage.input_tokens, tap.usage.cache_read_tokens, tap.usage.output_tokens) == (5, 4, 7)
    assert tap.usage.reasoning_tokens == 2


def test_a_stream_that_ends_without_its_end_is_not_complete() -> None:
    tap = bridge(REQUEST).tap()
    tap.feed(chunk({"content": "half"}))
    tap.end()
    assert not tap.complete
    assert tap.tail("0") == b""


def test_an_error_within_the_stream_is_told_once_and_nothing_follows() -> None:
    tap = bridge(REQUEST).tap()
    out = tap.feed(chunk({"content": "half"}) + b'data: {"error":{"message":"broke"}}\n\n' + STREAM)
    assert tap.failed
    assert not tap.complete
    assert out.count(b'"error"') == 1
    assert b"broke" in out
    assert out.rstrip().endswith(b"}")
    assert b"Hel" not in out


def test_pitfall_18_a_translated_stream_has_its_usage_chunk_only_when_asked_for() -> None:
    asked, not_asked = told([]), bridge({**REQUEST, "stream_options": None}).tap()
    plain = not_asked.feed(STREAM) + not_asked.tail("0.001")

    last = json.loads(asked.split(b"data: ")[-2])
    assert (last["choices"], last["usage"]["cost"]) == ([], 0.001)
    assert asked.count(b'"usage":null') == asked.count(b"data: ") - 2
    assert b'"usage"' not in plain
    assert b'"choices":[]' not in plain
