"""The Anthropic dialect through the official SDK: what is streamed accumulates to what is answered whole, and every switch works."""

from typing import Any

import anthropic
import httpx
import pytest
from anthropic import Anthropic
from pydantic import BaseModel

from tests.integration.provider.conftest import Door

MODEL = "claude-opus-5-5"
HELLO: Any = [{"role": "user", "content": "hi there"}]
ASK: Any = [{"role": "user", "content": "use a tool"}]
THINK: Any = {"type": "enabled", "budget_tokens": 1024}
TOOLS: Any = [
    {"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}},
    {"name": "get_time", "input_schema": {"type": "object", "properties": {"country": {"type": "string"}}}},
]
CACHED = {
    "prompt_tokens": 100,
    "cached_tokens": 30,
    "cache_write_5m_tokens": 20,
    "cache_write_1h_tokens": 10,
}


class Person(BaseModel):
    name: str
    age: int


def create(sdk: Anthropic, messages: Any = HELLO, switches: Any = None, **fields: Any) -> Any:
    wanted = {"model": MODEL, "max_tokens": 2048, "messages": messages} | fields
    return sdk.messages.create(**wanted, extra_body={"sandbox": switches or {}})


def stream(sdk: Anthropic, messages: Any = HELLO, switches: Any = None, **fields: Any) -> Any:
    """The message that the SDK accumulates from a stream."""
    wanted = {"model": MODEL, "max_tokens": 2048, "messages": messages} | fields
    with sdk.messages.stream(**wanted, extra_body={"sandbox": switches or {}}) as events:
        return events.get_final_message()


def comparable(message: Any) -> Any:
    """A message without what differs from call to call."""
    found = message.model_dump(exclude={"id": True, "content": {"__all__": {"id", "tool_use_id", "parsed_output"}}})
    return {key: value for key, value in found.items() if key != "_request_id"}


@pytest.mark.parametrize(
    ("fields", "switches"),
    [
        ({}, {}),
        ({}, CACHED),
        ({"system": "be brief", "max_tokens": 3}, {}),
        ({"stop_sequences": ["provider"]}, {}),
        ({"messages": ASK, "tools": TOOLS}, {}),
        ({"messages": ASK, "tools": TOOLS}, {"tool_calls": 3, "completion_text": "Let me look that up."}),
        ({"thinking": THINK}, {}),
        ({"thinking": {"type": "adaptive"}}, {"reasoning_tokens": 40}),
        ({"thinking": THINK | {"display": "omitted"}}, {}),
        ({"thinking": THINK}, {"redact_thinking": True}),
        ({"thinking": THINK, "messages": ASK, "tools": TOOLS}, {"tool_calls": 2}),
        ({}, {"reasoning_tokens": 9}),
        ({}, {"finish": "refusal", "output_tokens": 2}),
        ({}, {"finish": "prompt_blocked"}),
        ({}, {"finish": "recitation"}),
        ({}, {"finish": "pause", "server_tool_calls": 2, "service_tier": "priority"}),
        ({}, {"output_tokens": 0}),
    ],
)
def test_stream_accumulates_to_the_whole_answer(
    anthropic_sdk: Anthropic, door: Door, fields: Any, switches: Any
) -> None:
    whole = create(anthropic_sdk, switches=switches, **fields)
    streamed = stream(anthropic_sdk, switches=switches, **fields)

    assert comparable(streamed) == comparable(whole)
    first, second = door.records()
    assert first["usage"] == second["usage"]
    assert first["usage"]["output"] == whole.usage.output_tokens == second["completion_tokens"]


def test_events_come_in_the_vendors_order(anthropic_sdk: Anthropic, door: Door) -> None:
    body = {"model": "m", "max_tokens": 2048, "messages": ASK, "tools": TOOLS, "thinking": THINK, "stream": True}
    headers = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
    answer = door.http.post("/v1/messages", json=body, headers=headers)

    kinds = [line.removeprefix("event: ") for line in answer.text.splitlines() if line.startswith("event: ")]
    assert kinds[:4] == ["message_start", "content_block_start", "ping", "content_block_delta"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 2
    assert answer.text.count("signature_delta") == 1


def test_usage_is_split_by_class_and_the_record_knows_both_forms(anthropic_sdk: Anthropic, door: Door) -> None:
    usage = create(anthropic_sdk, switches=CACHED | {"output_tokens": 7, "server_tool_calls": 1}).usage

    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (40, 30, 30)
    assert usage.cache_creation.model_dump() == {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10}
    assert usage.server_tool_use.web_search_requests == 1
    record = door.record()
    assert record["dialect"] == "anthropic"
    assert record["prompt_tokens"] == 100
    assert record["vendor_usage"] == usage.model_dump(exclude_none=True)
    assert record["usage"] == {
        "input": 40,
        "cache_read": 30,
        "cache_write_5m": 20,
        "cache_write_1h": 10,
        "output": 7,
        "reasoning": 0,
        "server_tool_calls": 1,
        "images": 0,
        "audio_output": 0,
        "seconds": 0,
        "characters": 0,
        "audio_input": 0,
    }


def test_split_of_cache_writes_is_in_the_first_event_only(door: Door) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": HELLO, "stream": True, "sandbox": CACHED}
    events = door.http.post("/v1/messages", json=body, headers={"x-api-key": "k", "anthropic-version": "2023-06-01"})

    start, delta = (line for line in events.text.splitlines() if line.startswith("data: ") and '"usage"' in line)
    assert '"ephemeral_1h_input_tokens":10' in start
    assert "ephemeral" not in delta
    assert '"cache_creation_input_tokens":30' in delta


@pytest.mark.parametrize(
    ("finish", "reason"), [("refusal", "refusal"), ("recitation", "refusal"), ("pause", "pause_turn")]
)
def test_answer_ends_for_the_reason_asked_for(anthropic_sdk: Anthropic, door: Door, finish: str, reason: str) -> None:
    message = create(anthropic_sdk, switches={"finish": finish})

    assert message.stop_reason == reason
    assert (message.stop_details is not None) == (reason == "refusal")


def test_stop_sequence_and_length_are_told_apart(anthropic_sdk: Anthropic, door: Door) -> None:
    stopped = create(anthropic_sdk, stop_sequences=["sandbox", "nowhere"])
    cut = create(anthropic_sdk, max_tokens=2)

    assert (stopped.stop_reason, stopped.stop_sequence, stopped.content[0].text) == (
        "stop_sequence",
        "sandbox",
        "Hello from the ",
    )
    assert (cut.stop_reason, cut.stop_sequence, cut.usage.output_tokens) == ("max_tokens", None, 2)


def test_tools_are_called_in_parallel_unless_forbidden(anthropic_sdk: Anthropic, door: Door) -> None:
    both = create(anthropic_sdk, ASK, {"tool_calls": 2}, tools=TOOLS)
    one = create(
        anthropic_sdk,
        ASK,
        {"tool_calls": 2},
        tools=TOOLS,
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
    )

    assert [(block.name, block.input) for block in both.content] == [
        ("get_weather", {"city": "Paris"}),
        ("get_time", {"country": "France"}),
    ]
    assert len({block.id for block in both.content}) == 2
    assert [block.name for block in one.content] == ["get_weather"]


def test_thinking_goes_back_with_the_tool_results_unchanged(anthropic_sdk: Anthropic, door: Door) -> None:
    # given a turn that thought and called a tool
    first = create(anthropic_sdk, ASK, thinking=THINK, tools=TOOLS)
    result = {"type": "tool_result", "tool_use_id": first.content[-1].id, "content": "sunny"}

    def follow_up(content: Any) -> Any:
        messages = [*ASK, {"role": "assistant", "content": content}, {"role": "user", "content": [result]}]
        return create(anthropic_sdk, messages, thinking=THINK, tools=TOOLS)

    # when it comes back whole, the conversation goes on
    content = [block.model_dump(exclude_none=True) for block in first.content]
    assert follow_up(content).stop_reason == "end_turn"

    # then neither a change nor an omission passes
    with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
        follow_up([content[0] | {"signature": "other"}, *content[1:]])
    with pytest.raises(anthropic.BadRequestError, match="Expected `thinking`"):
        follow_up(content[1:])


def test_structured_output_fits_its_schema(anthropic_sdk: Anthropic, door: Door) -> None:
    answer = anthropic_sdk.messages.parse(model="m", max_tokens=99, messages=HELLO, output_format=Person)

    assert isinstance(answer.parsed_output, Person)


def test_counting_tokens_is_free_and_needs_no_limit(anthropic_sdk: Anthropic, door: Door) -> None:
    counted = anthropic_sdk.messages.count_tokens(model="m", messages=HELLO, system="be brief", tools=TOOLS)

    assert counted.input_tokens == create(anthropic_sdk, system="be brief", tools=TOOLS).usage.input_tokens
    assert sum(door.records()[0]["usage"].values()) == 0


def test_models_are_listed_in_the_vendors_shape(anthropic_sdk: Anthropic, door: Door) -> None:
    assert MODEL in [model.id for model in anthropic_sdk.models.list()]


def test_key_and_version_are_checked(anthropic_sdk: Anthropic, door: Door) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": HELLO}

    def status(**headers: str) -> tuple[int, str]:
        answer = door.http.post("/v1/messages", json=body, headers=headers)
        return answer.status_code, answer.json()["error"]["type"]

    version = {"anthropic-version": "2023-06-01"}
    assert status(**version) == (401, "authentication_error")
    assert status(**{"x-api-key": "sk-ant-sandbox-bad"}, **version) == (401, "authentication_error")
    assert status(Authorization="Bearer sk-ant-sandbox-bad", **version) == (401, "authentication_error")
    assert status(**{"x-api-key": "k"}) == (400, "invalid_request_error")
    assert status(**{"x-api-key": "k", "anthropic-version": "1999-01-01"}) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, "rate_limit_error"),
        (529, "overloaded_error"),
        (500, "api_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (413, "request_too_large"),
    ],
)
def test_failures_have_the_vendors_form(anthropic_sdk: Anthropic, door: Door, status: int, kind: str) -> None:
    with pytest.raises(anthropic.APIStatusError) as failed:
        create(anthropic_sdk, switches={"fail_status": status, "retry_after": 7})

    body: Any = failed.value.body
    assert failed.value.status_code == status
    assert (body["type"], body["error"]["type"]) == ("error", kind)
    assert body["request_id"] == failed.value.request_id
    assert failed.value.response.headers["retry-after"] == "7"
    remaining = failed.value.response.headers["anthropic-ratelimit-requests-remaining"]
    assert (remaining == "0") == (status == 429)


def test_overloaded_in_mid_stream_is_an_error_event(anthropic_sdk: Anthropic, door: Door) -> None:
    with pytest.raises(anthropic.APIStatusError, match="overloaded_error"):
        stream(anthropic_sdk, switches={"output_tokens": 9, "error_after_chunks": 2})

    record = door.record()
    assert (record["chunks_sent"], record["usage"]["output"], record["completed"]) == (2, 2, False)
    assert record["vendor_usage"]["output_tokens"] == 1


def test_truncated_stream_ends_without_a_stop(anthropic_sdk: Anthropic, door: Door) -> None:
    events = list(create(anthropic_sdk, switches={"output_tokens": 3, "truncate": True}, stream=True))

    assert events[-1].type == "content_block_delta"
    assert door.record()["completed"] is False


def test_connection_dies_after_the_given_chunks(anthropic_sdk: Anthropic, door: Door) -> None:
    with pytest.raises(Exception, match=r"peer closed|incomplete"):
        stream(anthropic_sdk, switches={"output_tokens": 9, "die_after_chunks": 3})

    assert door.record()["usage"]["output"] == 3


def test_usage_can_be_left_out(anthropic_sdk: Anthropic, door: Door) -> None:
    message = create(anthropic_sdk, switches={"omit_usage": True})

    assert "usage" not in message.model_fields_set
    assert door.record()["vendor_usage"] is None


def test_malformed_answer_is_not_json(door: Door) -> None:
    headers = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
    body = {"model": "m", "max_tokens": 9, "messages": HELLO, "sandbox": {"malformed": True}}

    answer: httpx.Response = door.http.post("/v1/messages", json=body, headers=headers)

    assert (answer.status_code, answer.text[:6]) == (200, "<html>")
