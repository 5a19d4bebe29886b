"""Pitfalls of what is answered: streams and their grammar, usage, why an answer ended."""

import json
from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.conformance.pitfalls.asking import (
    OSLO,
    TEXT,
    Provider,
    ask,
    candidate,
    chunk,
    chunks_of,
    events_of,
    message_of,
    whole_of,
)
from tests.support.wire_answers import ANSWERS, STREAMS


def blocks_in(events: list[Any]) -> list[tuple[int, str, list[str]]]:
    """Index, kind and kinds of deltas of each block; asserts that one is open at a time."""
    blocks: list[tuple[int, str, list[str]]] = []
    is_open = False
    for event in events:
        if event.type == "content_block_start":
            assert not is_open
            is_open = True
            blocks.append((event.index, event.content_block.type, []))
        elif event.type == "content_block_delta":
            assert is_open and event.index == blocks[-1][0]
            blocks[-1][2].append(event.delta.type)
        elif event.type == "content_block_stop":
            assert event.index == blocks[-1][0]
            is_open = False
    assert not is_open
    return blocks


@pytest.mark.parametrize("dialect", ["openai", "gemini"])
def test_pitfall_1_claudes_stream_has_its_grammar(claude: Anthropic, provider: Provider, dialect: str) -> None:
    events = events_of(claude, provider.streams(dialect))

    assert [event.type for event in events].count("message_start") == 1
    assert events[0].type == "message_start"
    assert [event.type for event in events[-2:]] == ["message_delta", "message_stop"]
    assert [index for index, _, _ in blocks_in(events)] == list(range(len(blocks_in(events))))


@pytest.mark.parametrize("dialect", ["openai", "gemini"])
def test_pitfall_2_a_delta_is_of_the_kind_of_its_block(claude: Anthropic, provider: Provider, dialect: str) -> None:
    allowed = {
        "text": {"text_delta"},
        "thinking": {"thinking_delta", "signature_delta"},
        "tool_use": {"input_json_delta"},
    }

    blocks = blocks_in(events_of(claude, provider.streams(dialect)))

    assert blocks[0][1] == "thinking", "what comes first is known before a block is opened"
    assert all(set(deltas) <= allowed[kind] for _, kind, deltas in blocks if kind != "redacted_thinking")
    assert all(deltas for _, kind, deltas in blocks if kind == "text")


@pytest.mark.parametrize("dialect", ["openai", "gemini"])
def test_pitfall_3_the_delta_that_changes_the_block_is_not_lost(
    claude: Anthropic, provider: Provider, dialect: str
) -> None:
    message = message_of(claude, provider.streams(dialect))

    assert next(block.thinking for block in message.content if block.type == "thinking") == "hm"
    assert [block.text for block in message.content if block.type == "text"] == [TEXT]
    assert [block.input for block in message.content if block.type == "tool_use"] == [OSLO, {}]


def test_pitfall_4_openais_index_counts_tools_alone(client: OpenAI, provider: Provider) -> None:
    chunks = chunks_of(client, provider.streams("anthropic"))

    assert {call.index for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()} == {0, 1}


def test_pitfall_5_a_call_opens_once_whatever_is_said_again(
    claude: Anthropic, client: OpenAI, provider: Provider
) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
    pieces = [
        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": arguments}}
        for arguments in ('{"city":', '"Oslo"}')
    ]
    model = provider.streams(
        "openai", *(chunk({"tool_calls": [piece]}, usage=usage) for piece in pieces), chunk({}, "tool_calls")
    )

    (block,) = message_of(claude, model).content
    assert (block.type, block.id, block.input) == ("tool_use", "call_1", OSLO)

    chunks = chunks_of(client, provider.streams("anthropic"))
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or () if call.index == 0]
    assert [(call.id, call.type, call.function.name) for call in calls[1:]] == [(None, None, None)] * len(calls[1:])


def test_pitfall_6_arguments_are_text_for_openai_and_objects_elsewhere(
    claude: Anthropic, client: OpenAI, provider: Provider
) -> None:
    started = [event for event in events_of(claude, provider.streams("openai")) if event.type == "content_block_start"]
    assert [event.content_block.input for event in started if event.content_block.type == "tool_use"] == [{}, {}]

    for dialect in ("anthropic", "gemini"):
        calls = whole_of(client, provider.says(dialect)).message.tool_calls
        assert [json.loads(call.function.arguments) for call in calls] == [OSLO, {}]
        assert calls[1].function.arguments == "{}"


def test_pitfall_7_geminis_stop_after_a_call_is_a_use_of_tools(
    claude: Anthropic, client: OpenAI, provider: Provider
) -> None:
    events = [candidate({"functionCall": {"name": "look", "args": OSLO}}), candidate({"text": ""}, finish="STOP")]

    finishes = [chunk.choices[0].finish_reason for chunk in chunks_of(client, provider.streams("gemini", *events))]
    assert finishes == [None] * (len(finishes) - 1) + ["tool_calls"]
    assert message_of(claude, provider.streams("gemini", *events)).stop_reason == "tool_use"


def test_pitfall_16_what_was_cached_is_within_openais_prompt_and_beside_claudes(
    claude: Anthropic, client: OpenAI, provider: Provider
) -> None:
    usage = {"prompt_tokens": 9888, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 6752}}
    told = ask(claude, provider.says("openai", {**ANSWERS["openai"], "usage": usage})).usage
    assert (told.input_tokens, told.cache_read_input_tokens) == (3136, 6752)

    response = client.responses.create(model=provider.says("anthropic"), input="hi")
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.input_tokens_details.cached_tokens) == (6 + 3 + 2, 3)


def test_pitfall_17_the_last_usage_counts_and_is_never_added(
    claude: Anthropic, client: OpenAI, provider: Provider
) -> None:
    (delta,) = [event for event in events_of(claude, provider.streams("openai")) if event.type == "message_delta"]
    assert (delta.usage.input_tokens, delta.usage.output_tokens) == (6, 7), "OpenAI's comes after the reason of the end"

    chunks = chunks_of(client, provider.streams("anthropic"), stream_options={"include_usage": True})
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (6 + 3 + 2, 7)


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini"])
def test_pitfall_18_usage_is_always_asked_for_and_told_to_whom_asked(
    client: OpenAI, provider: Provider, dialect: str
) -> None:
    model = provider.streams(dialect)
    plain = chunks_of(client, model)
    asked = chunks_of(client, model, stream_options={"include_usage": True})

    if dialect == "openai":
        assert provider.sent["stream_options"] == {"include_usage": True}
    assert all(chunk.choices and chunk.usage is None for chunk in plain)
    assert [bool(chunk.choices) for chunk in asked] == [True] * (len(asked) - 1) + [False]
    assert [chunk.usage is None for chunk in asked] == [True] * (len(asked) - 1) + [False]


def test_pitfall_18_a_chunk_whose_choices_are_null_is_one(claude: Anthropic, provider: Provider) -> None:
    usage = {"choices": None, "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}}
    model = provider.streams("openai", chunk({"content": TEXT}), chunk({}, "stop"), usage)

    message = message_of(claude, model)

    assert (message.content[0].text, message.usage.output_tokens) == (TEXT, 1)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("a_new_one", "stop"),
    ],
)
def test_pitfall_19_claudes_reasons_have_openais_words(
    client: OpenAI, provider: Provider, reason: str, finish: str
) -> None:
    model = provider.says("anthropic", {**ANSWERS["anthropic"], "content": [], "stop_reason": reason})

    assert whole_of(client, model).finish_reason == finish


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        *((name, "content_filter") for name in ("SAFETY", "RECITATION", "SPII", "IMAGE_SAFETY")),
    ],
)
def test_pitfall_19_geminis_reasons_have_openais_words(
    client: OpenAI, provider: Provider, reason: str, finish: str
) -> None:
    assert whole_of(client, provider.says("gemini", candidate({"text": "x"}, finish=reason))).finish_reason == finish


def test_pitfall_19_a_malformed_call_is_an_error_and_a_blocked_prompt_a_refusal(
    claude: Anthropic, client: OpenAI, provider: Provider
) -> None:
    with pytest.raises(openai.InternalServerError):
        whole_of(client, provider.says("gemini", candidate(finish="MALFORMED_FUNCTION_CALL")))

    blocked = {
        "promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9},
    }
    assert whole_of(client, provider.says("gemini", blocked)).finish_reason == "content_filter"
    assert ask(claude, provider.models["gemini"]).stop_reason == "refusal"


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini"])
def test_pitfall_20_a_stream_without_its_end_is_an_error_for_every_client(
    claude: Anthropic, client: OpenAI, provider: Provider, dialect: str
) -> None:
    model = provider.streams(dialect, *STREAMS[dialect][:3], cut=True)

    seen: list[str] = []
    with pytest.raises(anthropic.APIStatusError):
        for event in ask(claude, model, stream=True):
            seen.append(event.type)
    assert "message_stop" not in seen and "message_delta" not in seen
    with pytest.raises(openai.APIError):
        chunks_of(client, model)
    told = [event.type for event in client.responses.create(model=model, input="hi", stream=True)]
    assert told[-1] == "error" and "response.completed" not in told
