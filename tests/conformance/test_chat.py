"""Chat completions through the official Python SDK, whole answers and everything that rides on them."""

import base64
import json
from decimal import Decimal
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionToolParam
from pydantic import BaseModel

from tests.support.console import ConsoleUser
from tests.support.scripted_provider import ScriptedProvider

MODEL = "gpt-4o-mini"
HELLO: Any = [{"role": "user", "content": "Say hello."}]
JSON_PLEASE: Any = [{"role": "user", "content": "Say hello in JSON."}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
            "required": ["city"],
        },
    },
}
TIME: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "get_time", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(64)).decode()


def test_an_answer_has_the_sdks_shape_and_names_the_model_that_was_asked_for(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="llama-3.1-70b", messages=HELLO)

    assert answer.object == "chat.completion"
    assert answer.model == "llama-3.1-70b", "the provider knows it under another name"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


async def test_the_async_client_gets_the_same_answer_from_another_edge(
    client: OpenAI, async_client: AsyncOpenAI
) -> None:
    here = client.chat.completions.create(model=MODEL, messages=HELLO)
    there = await async_client.chat.completions.create(model=MODEL, messages=HELLO)

    assert there.choices[0].message.content == here.choices[0].message.content


def test_the_usage_carries_its_cost_and_the_receipt_says_the_same(client: OpenAI, customer: ConsoleUser) -> None:
    switches = {"prompt_tokens": 1000, "cached_tokens": 400, "output_tokens": 50, "reasoning_tokens": 10}

    answer = client.chat.completions.create(model=MODEL, messages=HELLO, extra_body={"sandbox": switches})

    # 600 fresh at $0.15, 400 cached at $0.075, 60 out at $0.60 a million
    expected_nanousd = 600 * 150 + 400 * 75 + 60 * 600
    assert answer.usage is not None
    cost: Any = answer.usage.to_dict()["cost"]
    assert Decimal(str(cost)) == Decimal(expected_nanousd) / 10**9
    assert answer._request_id is not None
    receipt = customer.receipt(answer._request_id)
    assert receipt["cost_nanousd"] == receipt["charged_nanousd"] == expected_nanousd
    assert {line["token_class"]: line["quantity"] for line in receipt["lines"]} == {
        "input": 600,
        "cache_read": 400,
        "output": 60,
    }


def test_n_gives_that_many_choices_and_all_are_paid_for(client: OpenAI, customer: ConsoleUser) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=HELLO, n=3, extra_body={"sandbox": {"output_tokens": 7, "prompt_tokens": 5}}
    )

    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 21
    assert answer._request_id is not None
    assert customer.receipt(answer._request_id)["charged_nanousd"] == 5 * 150 + 21 * 600


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_an_output_limit_is_obeyed_under_both_names(client: OpenAI, limit: str) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=HELLO, extra_body={limit: 3, "sandbox": {"output_tokens": 100}}
    )

    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3


@pytest.mark.parametrize(
    ("choice", "ended"),
    [("required", "tool_calls"), ({"type": "function", "function": {"name": "get_weather"}}, "stop")],
    ids=["required", "named"],
)
def test_a_forced_tool_is_called_with_arguments_that_parse(client: OpenAI, choice: Any, ended: str) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=HELLO, tools=[WEATHER, TIME], tool_choice=choice)

    assert answer.choices[0].finish_reason == ended
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].type == "function"
    assert calls[0].function.name == "get_weather"
    assert json.loads(calls[0].function.arguments) == {"city": "Paris", "unit": "celsius"}


def test_a_tools_result_goes_back_and_the_model_answers_in_words(client: OpenAI) -> None:
    asked = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "What is the weather in Paris?"}], tools=[WEATHER]
    )
    calls = asked.choices[0].message.tool_calls
    assert calls is not None

    answer = client.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "user", "content": "What is the weather in Paris?"},
            asked.choices[0].message.to_dict(),  # type: ignore[list-item]
            {"role": "tool", "tool_call_id": calls[0].id, "content": '{"celsius": 21}'},
        ],
        tools=[WEATHER],
    )

    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content


def test_parallel_tool_calls_arrive_all(client: OpenAI, scripted: ScriptedProvider, scripted_model: str) -> None:
    calls = [
        {
            "id": f"call_{city}",
            "type": "function",
            "function": {"name": "get_weather", "arguments": f'{{"city":"{city}"}}'},
        }
        for city in ("Paris", "Rome")
    ]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    scripted.answer(_completion(message, "tool_calls"))

    answer = client.chat.completions.create(
        model=scripted_model, messages=HELLO, tools=[WEATHER], parallel_tool_calls=True
    )

    made = answer.choices[0].message.tool_calls
    assert made is not None
    assert [json.loads(call.function.arguments)["city"] for call in made if call.type == "function"] == [
        "Paris",
        "Rome",
    ]
    assert json.loads(scripted.last.body)["parallel_tool_calls"] is True


def test_json_mode_answers_json(client: OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=JSON_PLEASE, response_format={"type": "json_object"})

    assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)


class City(BaseModel):
    """What the parse helper asks for."""

    city: str
    country: str
    inhabitants: int


def test_the_parse_helper_gives_an_object_of_the_schema(client: OpenAI) -> None:
    answer = client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=City)

    assert answer.choices[0].message.parsed == City(city="Paris", country="France", inhabitants=1)


def test_images_and_text_in_one_message_reach_the_provider(
    client: OpenAI, scripted: ScriptedProvider, scripted_model: str
) -> None:
    content: Any = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}},
    ]
    scripted.answer(_completion({"role": "assistant", "content": "A pixel."}, "stop"))

    answer = client.chat.completions.create(model=scripted_model, messages=[{"role": "user", "content": content}])

    assert answer.choices[0].message.content == "A pixel."
    assert json.loads(scripted.last.body)["messages"][0]["content"] == content


def test_unknown_fields_reach_the_provider_byte_for_byte(
    client: OpenAI, scripted: ScriptedProvider, scripted_model: str
) -> None:
    unknown = (
        b'{"big":123456789012345678901234567890,"float":1.10,"text":"\\u00e9 \xc3\xa9","nested":[{"b":1,"a":null}]}'
    )
    body = (
        b'{"model":"%b","messages":[{"role":"user","content":"hi","x_future":true}],"x_vendor":%b,"temperature":0.30}'
        % (scripted_model.encode(), unknown)
    )
    scripted.answer(_completion({"role": "assistant", "content": "ok", "x_new": [1]}, "stop"))

    answer: Any = client.post(
        "/chat/completions", cast_to=object, content=body, options={"headers": {"Content-Type": "application/json"}}
    )

    assert scripted.last.body == body.replace(scripted_model.encode(), b"vendor/some-model")
    assert answer["choices"][0]["message"]["x_new"] == [1], "and unknown fields of the answer reach the client"
    assert answer["model"] == scripted_model


def test_the_providers_key_is_the_operators_and_the_clients_never_leaves(
    client: OpenAI, scripted: ScriptedProvider, scripted_model: str
) -> None:
    scripted.answer(_completion({"role": "assistant", "content": "ok"}, "stop"))

    answer = client.chat.completions.create(
        model=scripted_model, messages=HELLO, extra_headers={"X-Forwarded-For": "10.1.2.3", "Cookie": "a=b"}
    )

    sent = scripted.last
    assert sent.path == "/v1/chat/completions"
    assert sent.headers["authorization"] == "Bearer sk-sandbox"
    assert client.api_key not in str(sent)
    assert "cookie" not in sent.headers
    assert sent.headers["x-client-request-id"] == answer._request_id


def _completion(message: dict[str, Any], finish_reason: str) -> bytes:
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "vendor/some-model",
            "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9},
        }
    ).encode()
