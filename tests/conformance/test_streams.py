"""Streamed chat completions through the official Python SDK: the same text, whole tool calls, and no silent endings."""

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
from openai import APIError, AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from tests.conformance.test_chat import HELLO, MODEL, TIME, WEATHER
from tests.support.product import Product
from tests.support.scripted_provider import EVENT_STREAM, ScriptedProvider


def _text(chunks: Iterable[ChatCompletionChunk], choice: int = 0) -> str:
    return "".join(part.delta.content or "" for chunk in chunks for part in chunk.choices if part.index == choice)


def test_a_streams_text_equals_the_whole_answers(client: OpenAI) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=HELLO)

    chunks = list(client.chat.completions.create(model=MODEL, messages=HELLO, stream=True))

    assert _text(chunks) == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_the_async_client_streams_the_same(client: OpenAI, async_client: AsyncOpenAI) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=HELLO)

    stream = await async_client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    chunks = [chunk async for chunk in stream]

    assert _text(chunks) == whole.choices[0].message.content


def test_every_chunk_names_the_model_that_was_asked_for(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="llama-3.1-70b", messages=HELLO, stream=True))

    assert {chunk.model for chunk in chunks} == {"llama-3.1-70b"}


def test_without_include_usage_no_chunk_has_usage_and_yet_it_is_charged(product: Product) -> None:
    customer = product.new_customer()
    with product.openai(customer.create_key()) as client:
        chunks = list(
            client.chat.completions.create(
                model=MODEL,
                messages=HELLO,
                stream=True,
                extra_body={"sandbox": {"prompt_tokens": 100, "output_tokens": 20}},
            )
        )

    assert all("usage" not in chunk.to_dict() for chunk in chunks)
    assert all(chunk.choices for chunk in chunks), "no chunk without choices: many programs index choices[0]"
    assert [charge["cost_nanousd"] for charge in customer.charges()] == [100 * 150 + 20 * 600]


def test_with_include_usage_the_last_chunk_has_usage_and_cost(client: OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model=MODEL,
            messages=HELLO,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"sandbox": {"prompt_tokens": 100, "output_tokens": 20}},
        )
    )

    *others, last = chunks
    assert last.choices == []
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (100, 20)
    assert Decimal(str(last.usage.to_dict()["cost"])) == Decimal(100 * 150 + 20 * 600) / 10**9
    assert all(chunk.usage is None for chunk in others)


def test_several_choices_stream_side_by_side(client: OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=HELLO, stream=True, n=2, extra_body={"sandbox": {"completion_text": "one two three"}}
        )
    )

    assert _text(chunks, 0) == _text(chunks, 1) == "one two three"


def test_a_streamed_tool_call_adds_up_to_arguments_that_parse(client: OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=HELLO, stream=True, tools=[WEATHER, TIME], tool_choice="required"
        )
    )

    deltas = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or ()]
    arguments = "".join(call.function.arguments or "" for call in deltas if call.function)
    assert deltas[0].id and deltas[0].function and deltas[0].function.name == "get_weather"
    assert json.loads(arguments) == {"city": "Paris", "unit": "celsius"}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_parallel_streamed_tool_calls_keep_their_index(
    client: OpenAI, scripted: ScriptedProvider, scripted_model: str
) -> None:
    def call(index: int, **function: str) -> dict[str, Any]:
        opening = {"id": f"call_{index}", "type": "function"} if "name" in function else {}
        return {"tool_calls": [{"index": index, **opening, "function": function}]}

    deltas = [
        call(0, name="get_weather", arguments=""),
        call(0, arguments='{"city":'),
        call(1, name="get_time", arguments=""),
        call(0, arguments='"Paris"}'),
        call(1, arguments='{"city":"Rome"}'),
    ]
    scripted.answer(_events(deltas, "tool_calls"), content_type=EVENT_STREAM)

    with client.chat.completions.stream(
        model=scripted_model, messages=HELLO, tools=[WEATHER, TIME], parallel_tool_calls=True
    ) as stream:
        message = stream.get_final_completion().choices[0].message

    assert message.tool_calls is not None
    assert [(made.id, made.function.name, json.loads(made.function.arguments)) for made in message.tool_calls] == [
        ("call_0", "get_weather", {"city": "Paris"}),
        ("call_1", "get_time", {"city": "Rome"}),
    ]


class Capital(BaseModel):
    """What the stream helper parses."""

    country: str
    city: str


def test_the_stream_helper_ends_with_a_parsed_object_and_usage(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model=MODEL, messages=HELLO, response_format=Capital, stream_options={"include_usage": True}
    ) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()

    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.parsed == Capital(country="France", city="Paris")
    assert final.usage is not None


def test_an_error_in_mid_stream_is_raised_and_what_came_before_is_charged(product: Product) -> None:
    customer = product.new_customer()
    label = f"breaks-{customer.account_id}"
    received: list[ChatCompletionChunk] = []
    with product.openai(customer.create_key()) as client, pytest.raises(APIError, match="had an error"):
        for chunk in _until_it_breaks(client, {"output_tokens": 50, "error_after_chunks": 10, "label": label}):
            received.append(chunk)

    (charge,) = customer.charges()
    assert charge["outcome"] == "upstream_broken"
    assert charge["usage_source"] == "estimated"
    (served,) = product.provider.calls(label=label)
    assert served["completion_tokens"] == len(received) - 1 == 10, "one token a chunk, after the one with the role"
    assert charge["output_tokens"] == pytest.approx(10, abs=1)


@pytest.mark.parametrize(
    "fault",
    [{"output_tokens": 30, "die_after_chunks": 10}, {"output_tokens": 30, "truncate": True}],
    ids=["connection lost", "ended without a finish"],
)
def test_a_stream_that_breaks_off_is_an_error_and_not_a_short_success(client: OpenAI, fault: dict[str, Any]) -> None:
    with pytest.raises(APIError, match=r"broke off its answer|before it was complete") as raised:
        list(_until_it_breaks(client, fault))

    assert raised.value.code == "upstream_error"


def _until_it_breaks(client: OpenAI, switches: dict[str, Any]) -> Iterable[ChatCompletionChunk]:
    yield from client.chat.completions.create(
        model=MODEL, messages=HELLO, stream=True, extra_body={"sandbox": switches}
    )


def _events(deltas: list[dict[str, Any]], finish_reason: str) -> bytes:
    head = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "vendor/some-model",
    }
    choices: list[dict[str, Any]] = [
        *({"index": 0, "delta": delta, "finish_reason": None} for delta in deltas),
        {"index": 0, "delta": {}, "finish_reason": finish_reason},
    ]
    events: list[dict[str, Any]] = [{**head, "choices": [choice]} for choice in choices]
    events.append({**head, "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 14}})
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"
