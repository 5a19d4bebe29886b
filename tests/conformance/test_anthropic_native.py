"""Claude through Anthropic's own SDK and a provider of the same dialect: everything arrives as the vendor sent it, and is billed."""

from decimal import Decimal
from typing import Any

import anthropic
import httpx
import pytest
from anthropic import Anthropic

from tests.conformance.claude import HELLO, PRICE, WEATHER, cost_of, say_whole, streamed
from tests.support.console import ApiKey
from tests.support.product import Product


@pytest.fixture(params=["whole", "stream"])
def say(request: pytest.FixtureRequest) -> Any:
    """The same question, without a stream and with one."""
    return say_whole if request.param == "whole" else streamed


def test_a_message_names_the_model_that_was_asked_for(claude: Anthropic, claude_model: str, say: Any) -> None:
    message = say(claude, claude_model, {"completion_text": "one two three"})

    assert (message.role, message.model, message.stop_reason) == ("assistant", claude_model, "end_turn")
    assert [block.text for block in message.content] == ["one two three"]


def test_the_path_below_anthropics_own_prefix_is_the_same(product: Product, key: ApiKey, claude_model: str) -> None:
    with product.anthropic(key, base_url=f"{product.stack.edge_urls[0]}/anthropic") as client:
        assert say_whole(client, claude_model).stop_reason == "end_turn"
        assert client.messages.count_tokens(model=claude_model, messages=HELLO).input_tokens > 0
        assert claude_model in {model.id for model in client.models.list()}


def test_tools_run_in_parallel_and_their_results_go_back(claude: Anthropic, claude_model: str, say: Any) -> None:
    question = {"role": "user", "content": "What is the weather? Use the tool."}
    first = say(claude, claude_model, {"tool_calls": 2}, messages=[question], tools=[WEATHER])
    calls = [block for block in first.content if block.type == "tool_use"]
    assert first.stop_reason == "tool_use"
    assert [call.input for call in calls] == [{"city": "Paris"}, {"city": "Paris"}]

    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    results = [
        {"type": "tool_result", "tool_use_id": calls[0].id, "content": [{"type": "text", "text": "21"}, picture]},
        {"type": "tool_result", "tool_use_id": calls[1].id, "content": "broken", "is_error": True},
    ]
    turns = [question, {"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    assert say(claude, claude_model, messages=turns, tools=[WEATHER]).stop_reason == "end_turn"


@pytest.mark.parametrize("switches", [{"reasoning_tokens": 5}, {"reasoning_tokens": 5, "redact_thinking": True}])
def test_thoughts_and_their_signatures_survive_a_tool_loop(
    claude: Anthropic, claude_model: str, say: Any, switches: dict[str, Any]
) -> None:
    fields: dict[str, Any] = {"tools": [WEATHER], "thinking": {"type": "enabled", "budget_tokens": 1024}}
    fields["max_tokens"] = 2000
    question = {"role": "user", "content": "What is the weather? Use the tool."}

    first = say(claude, claude_model, switches, messages=[question], **fields)
    assert first.content[0].type in ("thinking", "redacted_thinking")
    call = first.content[-1]
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "21"}
    turns = [question, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]

    assert say(claude, claude_model, switches, messages=turns, **fields).stop_reason == "end_turn"


@pytest.mark.parametrize(
    ("switches", "fields", "reason"),
    [
        ({"output_tokens": 9}, {"max_tokens": 3}, "max_tokens"),
        ({"completion_text": "one two END three"}, {"stop_sequences": ["END"]}, "stop_sequence"),
        ({"finish": "refusal"}, {}, "refusal"),
        ({"finish": "pause"}, {}, "pause_turn"),
    ],
)
def test_it_ends_for_the_vendors_reason(
    claude: Anthropic, claude_model: str, say: Any, switches: dict[str, Any], fields: dict[str, Any], reason: str
) -> None:
    message = say(claude, claude_model, switches, **fields)

    assert message.stop_reason == reason
    assert message.stop_sequence == ("END" if reason == "stop_sequence" else None)
    assert (message.stop_details is not None) == (reason == "refusal")


def test_images_documents_system_and_cache_marks_arrive(claude: Anthropic, claude_model: str, product: Product) -> None:
    blocks = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Facts."}, "title": "F"},
        {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}},
    ]
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]

    message = say_whole(claude, claude_model, system=system, messages=[{"role": "user", "content": blocks}])

    assert message.stop_reason == "end_turn"


def test_structured_output_and_a_server_tool_pass(claude: Anthropic, claude_model: str, say: Any) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    output = {"format": {"type": "json_schema", "schema": schema}, "effort": "low"}
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}

    message = say(claude, claude_model, {"server_tool_calls": 1}, output_config=output, tools=[search])

    kinds = [block.type for block in message.content]
    assert kinds[:2] == ["server_tool_use", "web_search_tool_result"]
    assert message.content[-1].text.startswith("{")
    assert message.usage.server_tool_use.web_search_requests == 1


def test_each_class_of_tokens_is_billed_at_its_price(product: Product, claude_model: str, say: Any) -> None:
    # given a call that uses every class
    customer = product.new_customer()
    label = f"classes-{customer.account_id}"
    switches = {
        "label": label,
        "prompt_tokens": 1000,
        "cached_tokens": 300,
        "cache_write_5m_tokens": 200,
        "cache_write_1h_tokens": 100,
        "output_tokens": 40,
        "reasoning_tokens": 10,
        "server_tool_calls": 2,
    }
    thinking = {"type": "enabled", "budget_tokens": 1024}
    # when
    with product.anthropic(customer.create_key()) as client:
        message = say(client, claude_model, switches, thinking=thinking, max_tokens=2000)
    # then the bill is what the provider's record says, times the prices
    (served,) = product.provider.calls(label=label)
    (charge,) = customer.charges()
    assert served["usage"]["cache_write_1h"] == 100
    assert charge["cost_nanousd"] == cost_of(served["usage"])
    assert charge["usage_source"] == "provider"
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (400, 300)
    assert message.usage.cache_creation.ephemeral_1h_input_tokens == 100


def test_the_cost_is_in_the_usage_object(product: Product, claude: Anthropic, claude_model: str) -> None:
    switches = {"prompt_tokens": 100, "output_tokens": 20}
    cost = Decimal(100 * int(PRICE["input"]) + 20 * int(PRICE["output"])) / 10**6

    whole = say_whole(claude, claude_model, switches)
    with claude.messages.create(
        model=claude_model, max_tokens=500, messages=HELLO, stream=True, extra_body={"sandbox": switches}
    ) as events:
        deltas = [event for event in events if event.type == "message_delta"]

    assert Decimal(str(whole.usage.to_dict()["cost"])) == cost
    assert Decimal(str(deltas[-1].usage.to_dict()["cost"])) == cost


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_without_usage_is_estimated_and_never_free(product: Product, claude_model: str, stream: bool) -> None:
    customer = product.new_customer()
    body = {"model": claude_model, "max_tokens": 90, "messages": HELLO, "sandbox": {"omit_usage": True}}

    answer = httpx.post(
        f"{product.base_url()}/messages",
        headers={"x-api-key": customer.create_key().plaintext},
        json={**body, "stream": stream},
        trust_env=False,
    )

    assert answer.status_code == 200
    (charge,) = customer.charges()
    assert charge["usage_source"] == "estimated"
    assert charge["output_tokens"] > 0


# -- streams that end badly ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"error_after_chunks": 5}, "overloaded_error"),
        ({"die_after_chunks": 5}, "api_error"),
        ({"truncate": True}, "api_error"),
    ],
)
def test_a_stream_that_breaks_is_an_error_and_charged_as_far_as_it_came(
    product: Product, claude_model: str, fault: dict[str, Any], kind: str
) -> None:
    customer = product.new_customer()
    with (
        product.anthropic(customer.create_key()) as client,
        pytest.raises(anthropic.APIStatusError) as raised,
    ):
        streamed(client, claude_model, {"prompt_tokens": 9000, "cached_tokens": 8000, "output_tokens": 30, **fault})

    body: Any = raised.value.body
    assert body["error"]["type"] == kind
    (charge,) = customer.charges()
    assert (charge["outcome"], charge["usage_source"]) == ("upstream_broken", "estimated")
    assert charge["output_tokens"] > 0
    assert (charge["input_tokens"], charge["cache_read_tokens"]) == (1000, 8000), (
        "the provider had said so at the start"
    )


def test_a_client_that_hangs_up_pays_what_the_provider_says_it_made(product: Product, claude_model: str) -> None:
    customer = product.new_customer()
    label = f"left-{customer.account_id}"
    switches = {"label": label, "output_tokens": 30, "chunk_delay_ms": 10}
    with (
        product.anthropic(customer.create_key()) as client,
        client.messages.create(
            model=claude_model, max_tokens=500, messages=HELLO, stream=True, extra_body={"sandbox": switches}
        ) as events,
    ):
        next(iter(events))

    (charge,) = customer.charges()
    (served,) = product.provider.calls(label=label)
    assert charge["outcome"] == "client_disconnected"
    assert charge["cost_nanousd"] == cost_of(served["usage"])
