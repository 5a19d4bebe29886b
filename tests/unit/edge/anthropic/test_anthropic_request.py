"""Anthropic requests between client and provider of the same protocol: what the gateway needs is read, the rest passes through."""

import json
from typing import Any

import msgspec
import pytest

from tt_common.errors import DomainError
from tt_edge.protocols.anthropic.request import OUTPUT_LIMIT_MAX, AnthropicRequest, build, parse_messages
from tt_edge.protocols.port import Target

MESSAGES = [{"role": "user", "content": "Hello"}]


def parsed(headers: dict[bytes, bytes] | None = None, query: bytes = b"", **fields: Any) -> AnthropicRequest:
    body = {"model": "claude", "max_tokens": 100, "messages": MESSAGES, **fields}
    return parse_messages(Target("/v1/messages", query, headers or {}), json.dumps(body).encode())


def sent(request: AnthropicRequest, limit: int | None = None) -> dict[str, Any]:
    return json.loads(build(request, "claude-upstream", limit))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"system": 5}, "system"),
    ],
)
def test_an_invalid_field_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(DomainError) as caught:
        parsed(**fields)
    assert (caught.value.code, caught.value.data["param"]) == ("invalid_request", param)
    assert param in caught.value.message


def test_everything_but_the_model_passes_byte_for_byte() -> None:
    body = b'{"model":"claude", "max_tokens":5,"messages":[{"role":"user","content":"\\u00e4"}],"new": {"a" : 1.50}}'

    out = build(parse_messages(Target("/v1/messages", b"", {}), body), "upstream", None)

    fields = msgspec.json.decode(out, type=dict[str, msgspec.Raw])
    assert bytes(fields["model"]) == b'"upstream"'
    assert bytes(fields["new"]) == b'{"a" : 1.50}'
    assert bytes(fields["messages"]) == b'[{"role":"user","content":"\\u00e4"}]'


def test_the_clients_version_and_betas_go_to_the_provider() -> None:
    request = parsed({b"anthropic-version": b"2026-10-21", b"anthropic-beta": b"a-1,b-2", b"x-api-key": b"sk-secret"})

    assert dict(request.forward) == {"anthropic-version": "2026-10-21", "anthropic-beta": "a-1,b-2"}
    assert dict(parsed().forward) == {"anthropic-version": "2023-06-01"}


@pytest.mark.parametrize("value", [b"a\x00b", "ä".encode(), b"x" * 3000])
def test_a_header_that_could_break_the_providers_request_is_refused(value: bytes) -> None:
    with pytest.raises(DomainError, match="anthropic-beta"):
        parsed({b"anthropic-beta": value})


def test_of_the_query_only_the_beta_switch_goes_on() -> None:
    assert parsed(query=b"beta=true").query == "?beta=true"
    assert parsed(query=b"key=sk-secret&beta=true").query == "?beta=true"
    assert parsed(query=b"key=sk-secret").query == ""


def test_no_output_at_all_may_be_asked_for_to_warm_the_cache() -> None:
    assert parsed(max_tokens=0).demand.output_limit == 0


def test_limits_beyond_reason_are_clamped_before_any_arithmetic() -> None:
    assert parsed(max_tokens=10**18).demand.output_limit == OUTPUT_LIMIT_MAX


def test_a_lowered_limit_is_the_one_that_the_provider_gets() -> None:
    assert sent(parsed(), 40)["max_tokens"] == 40


@pytest.mark.parametrize(
    ("limit", "thinking"),
    [
        (10_000, {"type": "enabled", "budget_tokens": 5000, "display": "omitted"}),
        (5000, {"type": "enabled", "budget_tokens": 2500, "display": "omitted"}),
        (2000, {"type": "disabled"}),
    ],
)
def test_a_lowered_limit_leaves_room_for_an_answer_after_thinking(limit: int, thinking: dict[str, Any]) -> None:
    request = parsed(max_tokens=20_000, thinking={"type": "enabled", "budget_tokens": 5000, "display": "omitted"})

    assert sent(request, limit)["thinking"] == thinking


def test_a_mark_for_an_hour_is_seen_wherever_it_stands() -> None:
    hour = {"type": "text", "text": "long", "cache_control": {"type": "ephemeral", "ttl": "1h"}}

    assert parsed(system=[hour]).hour_cache
    assert not parsed(messages=[{"role": "user", "content": '"ttl":"1h"'}]).hour_cache


def test_a_hold_counts_system_tools_results_thoughts_and_pictures() -> None:
    plain = parsed().demand.input_tokens
    words = "ten words that make a system prompt a little longer " * 5
    blocks: list[dict[str, Any]] = [
        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": words}]},
        {"type": "thinking", "thinking": words, "signature": "x"},
        {"type": "tool_use", "id": "t", "name": "look", "input": {"at": words}},
    ]
    for block in blocks:
        assert parsed(messages=[{"role": "user", "content": [block]}]).demand.input_tokens > plain + 40
    assert parsed(system=words).demand.input_tokens > plain + 40
    assert parsed(tools=[{"name": "t", "description": words}]).demand.input_tokens > plain + 40
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 100_000}}
    inside = {"type": "tool_result", "tool_use_id": "t", "content": [picture]}
    for block in (picture, inside):
        assert 1_600 <= parsed(messages=[{"role": "user", "content": [block]}]).demand.input_tokens < 1_700
