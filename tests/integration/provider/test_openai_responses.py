"""OpenAI's Responses endpoint through the official SDK: what is streamed accumulates to what is answered whole, and every switch works."""

import json
from typing import Any

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from tests.integration.provider.conftest import Door

ASK = "use a tool"
TOOLS: Any = [
    {
        "type": "function",
        "name": name,
        "strict": False,
        "parameters": {"type": "object", "properties": {field: {"type": "string"}}},
    }
    for name, field in (("get_weather", "city"), ("get_time", "country"))
]
SUMMARY: Any = {"reasoning": {"effort": "low", "summary": "auto"}}
ENCRYPTED: Any = {"include": ["reasoning.encrypted_content"], "store": False}
CACHED = {
    "prompt_tokens": 100,
    "cached_tokens": 30,
    "cache_write_5m_tokens": 20,
    "output_tokens": 7,
    "reasoning_tokens": 3,
}


class Person(BaseModel):
    name: str
    age: int


def create(sdk: OpenAI, said: Any = "hi there", switches: Any = None, **fields: Any) -> Any:
    wanted = {"model": "gpt-5", "input": said} | fields
    return sdk.responses.create(**wanted, extra_body={"sandbox": switches or {}})


def events_of(sdk: OpenAI, said: Any = "hi there", switches: Any = None, **fields: Any) -> list[Any]:
    return list(create(sdk, said, switches, stream=True, **fields))


def accumulated(events: list[Any]) -> list[dict[str, Any]]:
    """The output items as the deltas alone make them."""
    items: list[dict[str, Any]] = []
    for event in events:
        if event.type == "response.output_item.added":
            items.append(event.item.model_dump())
        elif event.type == "response.content_part.added":
            items[event.output_index]["content"].append(event.part.model_dump())
        elif event.type == "response.reasoning_summary_part.added":
            items[event.output_index]["summary"].append(event.part.model_dump())
        elif event.type == "response.output_text.delta":
            items[event.output_index]["content"][event.content_index]["text"] += event.delta
        elif event.type == "response.refusal.delta":
            items[event.output_index]["content"][event.content_index]["refusal"] += event.delta
        elif event.type == "response.reasoning_summary_text.delta":
            items[event.output_index]["summary"][event.summary_index]["text"] += event.delta
        elif event.type == "response.function_call_arguments.delta":
            items[event.output_index]["arguments"] += event.delta
    return items


def without_status(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in item.items() if key != "status"} for item in items]


def comparable(response: Any) -> Any:
    """A response without what differs from call to call."""
    found = response.model_dump(exclude={"id", "created_at", "completed_at"})
    for item in found["output"]:
        del item["id"]
        item.pop("call_id", None)
        item.pop("encrypted_content", None)
    return found


@pytest.mark.parametrize(
    ("fields", "switches"),
    [
        ({}, {}),
        ({"instructions": "be brief", "max_output_tokens": 16}, {"output_tokens": 40}),
        ({"input": ASK, "tools": TOOLS}, {"tool_calls": 3, "completion_text": "Let me look that up."}),
        ({"input": ASK, "tools": TOOLS} | SUMMARY, {"tool_calls": 2}),
        (SUMMARY, CACHED),
        ({"reasoning": {"effort": "low"}} | ENCRYPTED, {}),
        ({}, {"reasoning_tokens": 9}),
        ({}, {"finish": "refusal", "output_tokens": 3}),
        ({}, {"finish": "recitation"}),
        ({}, {"finish": "prompt_blocked"}),
        ({}, {"finish": "failed", "output_tokens": 3}),
        ({}, {"server_tool_calls": 2, "service_tier": "flex"}),
        ({}, {"output_tokens": 0}),
    ],
)
def test_stream_accumulates_to_the_whole_answer(openai_sdk: OpenAI, door: Door, fields: Any, switches: Any) -> None:
    whole = create(openai_sdk, switches=switches, **fields)
    events = events_of(openai_sdk, switches=switches, **fields)

    last = events[-1]
    assert last.type == f"response.{whole.status}"
    assert comparable(last.response) == comparable(whole)
    assert without_status(accumulated(events)) == without_status([item.model_dump() for item in last.response.output])
    assert [event.item for event in events if event.type == "response.output_item.done"] == last.response.output
    assert [event.sequence_number for event in events] == list(range(len(events)))
    first, second = door.records()
    assert first["usage"] == second["usage"]
    assert first["usage"]["output"] == whole.usage.output_tokens


def test_sdks_own_helper_reads_the_stream(openai_sdk: OpenAI, door: Door) -> None:
    with openai_sdk.responses.stream(model="gpt-5", input=ASK, tools=TOOLS, **SUMMARY) as events:
        final = events.get_final_response()

    assert [item.type for item in final.output] == ["reasoning", "function_call"]


def test_events_come_in_the_vendors_order(openai_sdk: OpenAI, door: Door) -> None:
    kinds = [
        event.type
        for event in events_of(openai_sdk, ASK, {"output_tokens": 1, "tool_calls": 1}, tools=TOOLS, **SUMMARY)
    ]

    seen = list(dict.fromkeys(kinds))
    assert seen == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.completed",
    ]
    text = [event.type for event in events_of(openai_sdk, switches={"output_tokens": 1})]
    assert text[2:] == [
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


def test_usage_is_split_by_class_and_the_record_knows_both_forms(openai_sdk: OpenAI, door: Door) -> None:
    usage = create(openai_sdk, switches=CACHED | {"server_tool_calls": 2}).usage

    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (100, 10, 110)
    details = usage.input_tokens_details
    assert (details.cached_tokens, details.cache_write_tokens) == (30, 20)
    assert usage.output_tokens_details.reasoning_tokens == 3
    record = door.record()
    assert record["vendor_usage"] == usage.model_dump(exclude_none=True)
    assert {name: count for name, count in record["usage"].items() if count} == {
        "input": 50,
        "cache_read": 30,
        "cache_write_5m": 20,
        "output": 10,
        "reasoning": 3,
        "server_tool_calls": 2,
    }


@pytest.mark.parametrize(
    ("switches", "status", "reason"),
    [
        ({"output_tokens": 40}, "incomplete", "max_output_tokens"),
        ({"finish": "recitation"}, "incomplete", "content_filter"),
        ({"finish": "prompt_blocked"}, "incomplete", "content_filter"),
        ({"finish": "refusal"}, "completed", None),
    ],
)
def test_answer_that_is_cut_says_why(openai_sdk: OpenAI, door: Door, switches: Any, status: str, reason: Any) -> None:
    response = create(openai_sdk, switches=switches, max_output_tokens=16)

    assert response.status == status
    assert (response.incomplete_details.reason if response.incomplete_details else None) == reason


def test_failed_response_names_its_error_and_still_has_usage(openai_sdk: OpenAI, door: Door) -> None:
    response = create(openai_sdk, switches={"finish": "failed", "output_tokens": 2})

    assert (response.status, response.error.code, response.usage.output_tokens) == ("failed", "server_error", 2)


def test_reasoning_goes_back_encrypted_when_nothing_is_stored(openai_sdk: OpenAI, door: Door) -> None:
    # given a turn that thought and called a function
    first = create(openai_sdk, ASK, tools=TOOLS, **SUMMARY, **ENCRYPTED)
    said = [{"role": "user", "content": ASK}, *first.output]
    result = {"type": "function_call_output", "call_id": first.output[-1].call_id, "output": "sunny"}

    # when it comes back whole, the conversation goes on
    answer = create(openai_sdk, [*said, result], tools=TOOLS, **ENCRYPTED)
    assert answer.output_text

    # then it doesn't without the reasoning
    with pytest.raises(openai.BadRequestError, match="without its required 'reasoning' item"):
        create(openai_sdk, [said[0], *said[2:], result], tools=TOOLS, **ENCRYPTED)


def test_conversation_goes_on_from_a_kept_response(openai_sdk: OpenAI, door: Door) -> None:
    first = create(openai_sdk, ASK, tools=TOOLS)
    result: Any = {"type": "function_call_output", "call_id": first.output[-1].call_id, "output": "sunny"}

    second = create(openai_sdk, [result], previous_response_id=first.id)

    assert second.previous_response_id == first.id
    assert second.usage.input_tokens == first.usage.total_tokens + 4 + 1


def test_kept_response_is_read_and_deleted_and_costs_nothing(openai_sdk: OpenAI, door: Door) -> None:
    events = events_of(openai_sdk)
    kept = events[-1].response

    assert openai_sdk.responses.retrieve(kept.id).model_dump() == kept.model_dump()
    openai_sdk.responses.delete(kept.id)
    with pytest.raises(openai.NotFoundError, match="not found"):
        openai_sdk.responses.retrieve(kept.id)
    assert len(door.records()) == 1


def test_response_without_store_is_not_kept(openai_sdk: OpenAI, door: Door) -> None:
    response = create(openai_sdk, store=False)

    with pytest.raises(openai.NotFoundError):
        openai_sdk.responses.retrieve(response.id)
    with pytest.raises(openai.BadRequestError) as refused:
        create(openai_sdk, previous_response_id=response.id)
    assert refused.value.code == "previous_response_not_found"


def test_tools_are_called_in_parallel_unless_forbidden(openai_sdk: OpenAI, door: Door) -> None:
    both = create(openai_sdk, ASK, {"tool_calls": 2}, tools=TOOLS)
    one = create(openai_sdk, ASK, {"tool_calls": 2}, tools=TOOLS, parallel_tool_calls=False)

    called = [(item.name, json.loads(item.arguments)) for item in both.output]
    assert called == [("get_weather", {"city": "Paris"}), ("get_time", {"country": "France"})]
    assert len({item.call_id for item in both.output}) == 2
    assert len(one.output) == 1


def test_structured_output_fits_its_schema(openai_sdk: OpenAI, door: Door) -> None:
    answer = openai_sdk.responses.parse(model="m", input="who", text_format=Person)

    assert isinstance(answer.output_parsed, Person)


def test_failure_in_mid_stream_is_an_error_event(openai_sdk: OpenAI, door: Door) -> None:
    last = events_of(openai_sdk, switches={"output_tokens": 9, "error_after_chunks": 2})[-1]

    assert (last.type, last.code) == ("error", "server_error")
    record = door.record()
    assert (record["usage"]["output"], record["vendor_usage"], record["completed"]) == (2, None, False)


def test_truncated_stream_ends_without_its_end(openai_sdk: OpenAI, door: Door) -> None:
    events = events_of(openai_sdk, switches={"truncate": True})

    assert events[-1].type == "response.output_item.done"
    assert door.record()["vendor_usage"] is None


def test_usage_can_be_left_out(openai_sdk: OpenAI, door: Door) -> None:
    assert create(openai_sdk, switches={"omit_usage": True}).usage is None
