"""The sandbox provider through the official SDK: its types accept what the provider sends."""

import json
import math
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

HELLO: Any = [{"role": "user", "content": "say hello please"}]
WEATHER_TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
    },
}


class Person(BaseModel):
    name: str
    age: int
    tags: list[str]


def test_chat_answer_has_openai_shape_and_counts(sdk: OpenAI) -> None:
    answer = sdk.chat.completions.create(model="gpt-4o-mini", messages=HELLO)

    assert answer.object == "chat.completion"
    assert answer.model == "gpt-4o-mini"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 4 + 3
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.prompt_tokens_details is not None


def test_stream_gives_one_token_an_event_and_usage_when_asked(sdk: OpenAI) -> None:
    stream = sdk.chat.completions.create(
        model="gpt-4o-mini",
        messages=HELLO,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"sandbox": {"output_tokens": 5, "prompt_tokens": 11, "cached_tokens": 3, "reasoning_tokens": 2}},
    )
    chunks = list(stream)

    assert chunks[0].choices[0].delta.role == "assistant"
    assert sum(1 for chunk in chunks if chunk.choices and chunk.choices[0].delta.content) == 5
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.completion_tokens_details is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (11, 7)
    assert usage.prompt_tokens_details.cached_tokens == 3
    assert usage.completion_tokens_details.reasoning_tokens == 2


def test_stream_without_include_usage_has_no_usage(sdk: OpenAI) -> None:
    chunks = list(sdk.chat.completions.create(model="m", messages=HELLO, stream=True))

    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


@pytest.mark.parametrize("stream", [False, True])
def test_required_tool_is_called_with_arguments_that_fit(sdk: OpenAI, stream: bool) -> None:
    answer: Any = sdk.chat.completions.create(
        model="m", messages=HELLO, tools=[WEATHER_TOOL], tool_choice="required", stream=stream
    )

    if stream:
        deltas = [chunk.choices[0].delta.tool_calls[0] for chunk in answer if chunk.choices[0].delta.tool_calls]
        name, arguments = deltas[0].function.name, "".join(delta.function.arguments for delta in deltas)
    else:
        assert answer.choices[0].finish_reason == "tool_calls"
        function = answer.choices[0].message.tool_calls[0].function
        name, arguments = function.name, function.arguments
    assert name == "get_weather"
    assert json.loads(arguments) == {"city": "Paris", "days": 1}


def test_tool_is_called_for_the_weather_but_not_after_its_result(sdk: OpenAI) -> None:
    question: Any = {"role": "user", "content": "what is the weather?"}
    function = {"name": "get_weather", "arguments": "{}"}
    called: Any = {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    result: Any = {"role": "tool", "tool_call_id": "call_1", "content": "sunny weather"}

    first = sdk.chat.completions.create(model="m", messages=[question], tools=[WEATHER_TOOL])
    second = sdk.chat.completions.create(
        model="m",
        messages=[question, called, result],
        tools=[WEATHER_TOOL],
    )

    assert first.choices[0].message.tool_calls
    assert second.choices[0].message.tool_calls is None


def test_structured_answer_parses_into_the_callers_model(sdk: OpenAI) -> None:
    answer = sdk.chat.completions.parse(model="m", messages=HELLO, response_format=Person)

    assert isinstance(answer.choices[0].message.parsed, Person)


def test_json_mode_answers_json(sdk: OpenAI) -> None:
    answer = sdk.chat.completions.create(
        model="m",
        messages=[{"role": "user", "content": "say it in JSON"}],
        response_format={"type": "json_object"},
    )

    assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_output_limit_cuts_the_answer(sdk: OpenAI, field: str) -> None:
    answer: Any = sdk.chat.completions.create(model="m", messages=HELLO, extra_body={field: 2})

    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 2


def test_n_choices_are_all_counted(sdk: OpenAI) -> None:
    answer = sdk.chat.completions.create(
        model="m",
        messages=HELLO,
        n=3,
        extra_body={"sandbox": {"output_tokens": 4}},
    )

    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 12


def test_images_are_accepted_and_counted(sdk: OpenAI) -> None:
    parts: Any = [
        {"type": "text", "text": "look here"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
    ]
    answer = sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": parts}])

    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 4 + 2 + 85


def test_embeddings_are_the_same_unit_vector_in_both_encodings(sdk: OpenAI) -> None:
    # The SDK asks for base64 when no format is named.
    packed = sdk.embeddings.create(model="text-embedding-3-small", input="hello world")
    plain = sdk.embeddings.create(model="text-embedding-3-small", input="hello world", encoding_format="float")

    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding)
    assert len(plain.data[0].embedding) == 1536
    assert math.hypot(*plain.data[0].embedding) == pytest.approx(1.0, abs=1e-5)
    assert packed.usage.prompt_tokens == 2


def test_embeddings_take_lists_tokens_and_dimensions(sdk: OpenAI) -> None:
    texts = sdk.embeddings.create(model="nomic-embed-text", input=["a b", "c"], dimensions=8)
    tokens = sdk.embeddings.create(model="nomic-embed-text", input=[1, 2, 3])
    token_lists = sdk.embeddings.create(model="nomic-embed-text", input=[[1, 2], [3]])

    assert [len(item.embedding) for item in texts.data] == [8, 8]
    assert texts.usage.prompt_tokens == 3
    assert (len(tokens.data), tokens.usage.prompt_tokens, len(tokens.data[0].embedding)) == (1, 3, 768)
    assert (len(token_lists.data), token_lists.usage.prompt_tokens) == (2, 3)


def test_models_are_listed(sdk: OpenAI) -> None:
    assert "gpt-4o-mini" in {model.id for model in sdk.models.list()}


def test_bad_key_is_refused(sdk: OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError):
        sdk.with_options(api_key="sk-sandbox-bad").chat.completions.create(model="m", messages=HELLO)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"model": "m"}', b'{"messages": []}'])
def test_nonsense_is_a_400(sdk: OpenAI, body: bytes) -> None:
    with pytest.raises(openai.BadRequestError):
        sdk.post("/chat/completions", content=body, cast_to=object)


@pytest.mark.parametrize(("finish", "tokens"), [("recitation", 3), ("prompt_blocked", 0)])
@pytest.mark.parametrize("stream", [False, True])
def test_filtered_answer_is_a_content_filter_and_the_tier_is_named(
    sdk: OpenAI, control: httpx.Client, stream: bool, finish: str, tokens: int
) -> None:
    switches = {"finish": finish, "output_tokens": 3, "service_tier": "priority"}
    answer: Any = sdk.chat.completions.create(
        model="m", messages=HELLO, stream=stream, tools=[WEATHER_TOOL], extra_body={"sandbox": switches}
    )

    last = list(answer)[-1] if stream else answer
    assert (last.choices[0].finish_reason, last.service_tier) == ("content_filter", "priority")
    assert control.get("/sandbox/calls").json()["calls"][0]["usage"]["output"] == tokens
