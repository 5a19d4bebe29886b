"""The Responses API through the official SDK, once to a provider that has it and once translated to one that only chats."""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from openai import BadRequestError, OpenAI
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseIncompleteEvent,
    ResponseStreamEvent,
)
from pydantic import BaseModel, TypeAdapter

from tests.conformance.test_chat import PIXEL
from tests.support.product import Product

INPUT_USD, OUTPUT_USD = 1, 2
"""Per million tokens, as `new_model` prices."""
UPSTREAM = "gpt-4o-mini-of-responses"
TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
EVENTS: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)


@pytest.fixture(scope="module")
def chat_only(product: Product) -> str:
    """A model of a provider that has no Responses API."""
    product.operator.put_provider("chats", product.stack.provider_url, key_ref="env:SANDBOX_API_KEY")
    return product.new_model(routes=[{"provider": "chats", "upstream_model": UPSTREAM}])


@pytest.fixture(scope="module")
def native(product: Product) -> str:
    return product.new_model(routes=[{"provider": "sandbox", "upstream_model": UPSTREAM}])


@pytest.fixture(params=["native", "translated"])
def model(request: pytest.FixtureRequest, native: str, chat_only: str) -> str:
    return native if request.param == "native" else chat_only


@pytest.fixture
def provider(product: Product) -> Iterator[Callable[..., None]]:
    """Sets what the provider does with every call of these tests, until the end of the test."""
    changed: set[str] = set()

    def does(**switches: Any) -> None:
        changed.update(switches)
        product.provider.set_fault(UPSTREAM, **switches)

    yield does
    product.provider.set_fault(UPSTREAM, **dict.fromkeys(changed))


def streamed(client: OpenAI, **request: Any) -> tuple[list[ResponseStreamEvent], Response]:
    """All events, each of the SDK's shape, and the response that the last one holds."""
    events = list(client.responses.create(stream=True, **request))
    for event in events:
        EVENTS.validate_python(event.to_dict())
    assert [event.sequence_number for event in events] == list(range(len(events)))
    last = events[-1]
    assert isinstance(last, (ResponseCompletedEvent, ResponseIncompleteEvent))
    return events, last.response


def cost_usd(response: Response) -> Decimal:
    assert response.usage is not None
    return Decimal(str(response.usage.to_dict()["cost"]))


def shape(response: Response) -> list[dict[str, Any]]:
    """The output without what differs from call to call."""
    return [
        {name: value for name, value in item.to_dict().items() if name not in ("id", "call_id", "encrypted_content")}
        for item in response.output
    ]


def test_an_answer_names_the_model_asked_for_and_its_cost(client: OpenAI, model: str) -> None:
    response = client.responses.create(model=model, input="Say hello.", instructions="Be brief.")

    assert response.model == model
    assert response.status == "completed"
    assert response.output_text
    assert response.usage is not None
    assert cost_usd(response) > 0
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


def test_a_stream_is_the_whole_answer_in_pieces(client: OpenAI, model: str) -> None:
    whole = client.responses.create(model=model, input="Say hello.")

    events, response = streamed(client, model=model, input="Say hello.")

    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == whole.output_text
    assert shape(response) == shape(whole)
    assert response.model == model
    assert cost_usd(response) > 0


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called_and_their_results_answered_over_two_turns(client: OpenAI, model: str, stream: bool) -> None:
    # given a tool that was called
    said: list[Any] = [{"role": "user", "content": "What is the weather in Oslo?"}]
    request: Any = {"model": model, "tools": [TOOL], "tool_choice": {"type": "function", "name": "get_weather"}}
    first = streamed(client, **request, input=said)[1] if stream else client.responses.create(**request, input=said)
    [call] = [item for item in first.output if item.type == "function_call"]
    assert "city" in json.loads(call.arguments)

    # when its result is sent back with all that was said
    said += [item.to_dict() for item in first.output]
    said.append({"type": "function_call_output", "call_id": call.call_id, "output": "4 degrees"})
    answer = client.responses.create(model=model, tools=[TOOL], input=said)

    # then
    assert answer.status == "completed"
    assert answer.output_text


def test_parallel_calls_have_indexes_of_their_own(client: OpenAI, model: str, provider: Callable[..., None]) -> None:
    provider(tool_calls=3)

    events, response = streamed(client, model=model, input="weather", tools=[TOOL], tool_choice="required")

    calls = [item for item in response.output if item.type == "function_call"]
    assert len({call.call_id for call in calls}) == 3
    assert all(json.loads(call.arguments) for call in calls)
    added = [event.output_index for event in events if event.type == "response.output_item.added"]
    assert added == list(range(len(response.output)))


def test_a_picture_and_a_system_message_arrive(client: OpenAI, model: str) -> None:
    content: Any = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "low"},
    ]
    said: Any = [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": content}]
    assert client.responses.create(model=model, input=said).output_text


class Person(BaseModel):
    name: str
    age: int


def test_structured_output_is_parsed_by_the_sdk(client: OpenAI, model: str) -> None:
    response = client.responses.parse(model=model, input="Invent a person.", text_format=Person)
    assert isinstance(response.output_parsed, Person)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_cut_at_its_limit_is_incomplete(
    client: OpenAI, model: str, stream: bool, provider: Callable[..., None]
) -> None:
    provider(output_tokens=100)
    request: Any = {"model": model, "input": "Tell me a long story.", "max_output_tokens": 16}
    response = streamed(client, **request)[1] if stream else client.responses.create(**request)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


def test_a_response_goes_on_from_an_earlier_one_where_the_provider_keeps_them(client: OpenAI, native: str) -> None:
    first = client.responses.create(model=native, input="Say hello.")
    second = client.responses.create(model=native, input="And again.", previous_response_id=first.id)
    assert second.previous_response_id == first.id


def test_an_earlier_response_is_a_clear_400_where_the_provider_keeps_none(client: OpenAI, chat_only: str) -> None:
    with pytest.raises(BadRequestError, match="needs a provider that keeps responses") as refused:
        client.responses.create(model=chat_only, input="Go on.", previous_response_id="resp_1")
    assert refused.value.param == "previous_response_id"


@pytest.mark.parametrize(
    ("field", "value"),
    [("truncation", "auto"), ("tools", [{"type": "web_search"}]), ("top_logprobs", 3), ("max_tool_calls", 2)],
)
def test_what_can_not_be_translated_is_refused_by_name(client: OpenAI, chat_only: str, field: str, value: Any) -> None:
    with pytest.raises(BadRequestError) as refused:
        client.responses.create(model=chat_only, input="Hello.", **{field: value})
    assert str(refused.value.param).startswith(field)


def test_background_is_refused(client: OpenAI, model: str) -> None:
    with pytest.raises(BadRequestError, match="'background' is not supported"):
        client.responses.create(model=model, input="Hello.", background=True)


@pytest.mark.parametrize("trouble", ["error_after_chunks", "die_after_chunks", "truncate"])
def test_a_stream_that_breaks_ends_with_an_error_and_no_end_follows(
    client: OpenAI, model: str, provider: Callable[..., None], trouble: str
) -> None:
    provider(output_tokens=10, **{trouble: True if trouble == "truncate" else 2})

    kinds = [event.type for event in client.responses.create(model=model, input="Hello.", stream=True)]

    assert kinds[-1] == "error"
    assert "response.output_text.delta" in kinds
    assert not {"response.completed", "response.incomplete"} & set(kinds)


@pytest.mark.parametrize("stream", [False, True])
def test_thoughts_are_items_that_can_be_sent_back(
    client: OpenAI, model: str, provider: Callable[..., None], stream: bool
) -> None:
    provider(reasoning_tokens=5)
    request: Any = {"model": model, "reasoning": {"effort": "low", "summary": "auto"}}
    request["include"] = ["reasoning.encrypted_content"]
    said: list[Any] = [{"role": "user", "content": "Think."}]
    response = streamed(client, **request, input=said)[1] if stream else client.responses.create(**request, input=said)
    assert response.usage is not None
    assert response.usage.output_tokens_details.reasoning_tokens == 5

    said += [item.to_dict() for item in response.output]
    said.append({"role": "user", "content": "Go on."})
    assert client.responses.create(**request, input=said).output_text


def test_what_it_costs_is_what_the_providers_usage_says(
    product: Product, model: str, provider: Callable[..., None]
) -> None:
    provider(prompt_tokens=1000, cached_tokens=400, output_tokens=50, reasoning_tokens=10)
    customer = product.new_customer()
    with product.openai(customer.create_key()) as sdk:
        response = sdk.responses.create(model=model, input="Hello.")
    usage = response.usage
    assert usage is not None
    cached = usage.input_tokens_details.cached_tokens
    [charge] = customer.charges()
    fresh = usage.input_tokens - cached
    expected = (fresh * INPUT_USD + usage.output_tokens * OUTPUT_USD) * 1000  # cached input is free in these tests
    assert cached == 400
    assert charge["cost_nanousd"] == expected
    assert cost_usd(response) == Decimal(charge["cost_nanousd"]) / 10**9
