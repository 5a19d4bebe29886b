"""Google's SDK against another vendor's model, and OpenAI's SDK against a Gemini model: through the running product, money included."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from openai import APIError, APIStatusError, OpenAI

from tests.conformance.test_gemini_native import BY_HAND, INPUT, OUTPUT, new_sdk
from tests.conformance.test_gemini_native import MODEL as GEMINI_MODEL
from tests.support.console import ApiKey, ConsoleUser
from tests.support.product import Product

OPENAI_MODEL = "gpt-4o-mini"
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"const": "Rome"}, "days": {"type": ["integer", "null"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def sdk(product: Product, key: ApiKey) -> Iterator[genai.Client]:
    client = new_sdk(product, key)
    yield client
    client.close()


@pytest.fixture(scope="module")
def thinker(product: Product) -> str:
    """A model of a Gemini provider that insists on signatures."""
    route = {"provider": "sandbox-gemini", "upstream_model": "gemini-3-pro"}
    return product.new_model(routes=[route], input_usd="1.25", output_usd="5.00")


def gemini_text(sdk: genai.Client, contents: Any, **config: Any) -> tuple[Any, list[Any]]:
    """The whole answer and the pieces of its stream."""
    wanted: Any = {**BY_HAND, **config}
    whole = sdk.models.generate_content(model=OPENAI_MODEL, contents=contents, config=wanted)
    return whole, list(sdk.models.generate_content_stream(model=OPENAI_MODEL, contents=contents, config=wanted))


def test_googles_sdk_reaches_another_vendors_model(customer: ConsoleUser, sdk: genai.Client) -> None:
    whole, pieces = gemini_text(
        sdk, "hi there", system_instruction="be brief", max_output_tokens=5, stop_sequences=["zzz"]
    )

    assert "".join(piece.text or "" for piece in pieces) == whole.text
    assert whole.candidates[0].finish_reason == pieces[-1].candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert pieces[-1].usage_metadata == whole.usage_metadata
    assert whole.model_version == OPENAI_MODEL
    used = whole.usage_metadata
    cost = used.prompt_token_count * 150 + used.candidates_token_count * 600
    for answer in (whole, pieces[0]):
        assert customer.receipt(answer.sdk_http_response.headers["x-tt-request-id"])["cost_nanousd"] == cost


def test_googles_sdk_calls_functions_over_two_turns(sdk: genai.Client) -> None:
    declared: Any = {
        "name": "get_weather",
        "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}},
    }
    tools: Any = [{"function_declarations": [declared]}]
    forced: Any = {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["get_weather"]}}

    for answers in gemini_text(sdk, "weather?", tools=tools, tool_config=forced):
        last: Any = answers if isinstance(answers, types.GenerateContentResponse) else answers[-1]
        [call] = last.function_calls
        assert call.name == "get_weather"
        assert set(call.args) == {"city"}
        response = types.Part.from_function_response(name="get_weather", response={"result": "sunny"})
        contents: Any = ["weather?", last.candidates[0].content, types.Content(role="user", parts=[response])]
        whole, _ = gemini_text(sdk, contents, tools=tools)
        assert whole.text


def test_what_can_not_be_translated_is_a_400_in_googles_words(sdk: genai.Client) -> None:
    with pytest.raises(errors.ClientError) as refused:
        gemini_text(sdk, "hi", tools=[{"google_search": {}}])

    assert (refused.value.code, refused.value.status) == (400, "INVALID_ARGUMENT")
    assert "tools[0].googleSearch" in str(refused.value.message)


def test_another_vendors_broken_stream_raises_in_googles_sdk(product: Product, sdk: genai.Client) -> None:
    model = product.new_model()
    product.provider.set_fault(model, truncate=True)

    with pytest.raises(errors.APIError) as raised:
        list(sdk.models.generate_content_stream(model=model, contents="hi"))

    assert raised.value.status == "UNAVAILABLE"


def test_openais_sdk_reaches_a_gemini_model(customer: ConsoleUser, client: OpenAI) -> None:
    ask: Any = {"model": GEMINI_MODEL, "messages": [{"role": "user", "content": "hi there"}], "max_tokens": 4}
    whole = client.chat.completions.with_raw_response.create(**ask)
    chunks = list(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))

    answer = whole.parse()
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == answer.choices[0].message.content
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert chunks[-1].usage == answer.usage
    cost = answer.usage.prompt_tokens * INPUT + answer.usage.completion_tokens * OUTPUT
    assert customer.receipt(whole.headers["x-tt-request-id"])["cost_nanousd"] == cost


@pytest.mark.parametrize("stream", [False, True])
def test_openais_sdk_goes_on_after_calls_that_gemini_signed(client: OpenAI, thinker: str, stream: bool) -> None:
    # given a first turn in which the model thinks and makes a call
    messages: Any = [{"role": "user", "content": "use a tool"}]
    ask: Any = {"model": thinker, "tools": [TOOL], "reasoning_effort": "low"}
    if stream:
        message = _message(list(client.chat.completions.create(**ask, messages=messages, stream=True)))
    else:
        message = client.chat.completions.create(**ask, messages=messages).choices[0].message.to_dict()
    [call] = message["tool_calls"]
    assert call["extra_content"]["google"]["thought_signature"]
    assert json.loads(call["function"]["arguments"])
    # when its result comes with the message as it was; without its signature a stand-in goes
    for sent in (message, {**message, "tool_calls": [{**call, "extra_content": None}]}):
        result = {"role": "tool", "tool_call_id": call["id"], "content": "sunny"}
        talk: Any = [*messages, sent, result]
        answer = client.chat.completions.create(**ask, messages=talk)
        # then
        assert answer.choices[0].message.content


def _message(chunks: list[Any]) -> dict[str, Any]:
    """What a client puts together of the pieces."""
    message: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": []}
    for chunk in chunks:
        for call in chunk.choices[0].delta.tool_calls or ():
            if call.id:
                message["tool_calls"].append(call.to_dict())
            else:
                message["tool_calls"][call.index]["function"]["arguments"] += call.function.arguments
    return message


def test_how_gemini_ends_is_told_in_openais_words(product: Product, client: OpenAI) -> None:
    model = product.new_model(routes=[{"provider": "sandbox-gemini", "upstream_model": "gemini-ends"}])
    ask: Any = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    for finish in ("refusal", "recitation", "prompt_blocked"):
        product.provider.set_fault("gemini-ends", finish=finish)
        chunks = list(client.chat.completions.create(**ask, stream=True))

        assert client.chat.completions.create(**ask).choices[0].finish_reason == "content_filter"
        assert chunks[-1].choices[0].finish_reason == "content_filter"

    product.provider.set_fault("gemini-ends", finish="bad_tool_call")
    with pytest.raises(APIStatusError, match="Malformed function call"):
        client.chat.completions.create(**ask)
    with pytest.raises(APIError, match="Malformed function call"):
        list(client.chat.completions.create(**ask, stream=True))


@pytest.mark.parametrize("stream", [False, True])
def test_googles_chat_goes_on_after_a_thought_that_anthropic_signed(
    product: Product, sdk: genai.Client, stream: bool
) -> None:
    # given a model that refuses a tool loop without the thought that began it, unchanged
    route = {"provider": "sandbox-anthropic", "upstream_model": "claude-3-7-sonnet-20250219"}
    tools: Any = [{"function_declarations": [{"name": "get_weather", "parameters_json_schema": {"type": "object"}}]}]
    thinking: Any = {"include_thoughts": True, "thinking_budget": 1024}
    config: Any = {**BY_HAND, "tools": tools, "thinking_config": thinking}
    chat = sdk.chats.create(model=product.new_model(routes=[route]), config=config)
    # when it thinks and calls, and the SDK sends back what it kept of that
    first = _said(chat, "weather?", stream)
    answer = types.Part.from_function_response(name="get_weather", response={"error": "no weather today"})
    second = _said(chat, answer, stream)
    # then
    assert [part.function_call.name for part in first if part.function_call] == ["get_weather"]
    assert any(part.thought and part.text for part in first)
    assert any(part.text and not part.thought for part in second)
    assert any(part.thought for part in second), "without its first thought the model would have been told not to think"


def _said(chat: Any, message: Any, stream: bool) -> list[Any]:
    answers = list(chat.send_message_stream(message)) if stream else [chat.send_message(message)]
    return [part for answer in answers for part in answer.candidates[0].content.parts]
