"""Requests that Anthropic refuses, and the field that the refusal names."""

from typing import Any

import pytest

from tt_sandbox.provider.anthropic import rules
from tt_sandbox.provider.anthropic.forms import MessagesForm, read
from tt_sandbox.provider.dialect import RequestRefused

USER: Any = {"role": "user", "content": "hi"}
SCHEMA = {"type": "object"}
THINK = {"type": "enabled", "budget_tokens": 1024}


def use(call_id: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "f", "input": {}}


def result(call_id: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": "fine"}


def turns(*contents: Any) -> dict[str, Any]:
    """Messages of a user and an assistant in turns."""
    return {
        "messages": [{"role": ("user", "assistant")[index % 2], "content": one} for index, one in enumerate(contents)]
    }


OLDER = b"2023-06-01"


def check(version: bytes = OLDER, /, **fields: Any) -> None:
    body = {"model": "m", "max_tokens": 4096, "messages": [USER], **fields}
    rules.check(read(MessagesForm, {name: value for name, value in body.items() if value is not None}), version)


TEXT = {"type": "text", "text": "so"}
CACHED = {"type": "text", "text": "so", "cache_control": {"type": "ephemeral"}}
ALL_RULES: list[tuple[dict[str, Any], str]] = [
    ({"max_tokens": None}, r"^max_tokens: Field required$"),
    ({"max_tokens": 0}, r"^max_tokens: Input should be greater"),
    ({"messages": None}, r"^messages: Field required$"),
    ({"messages": []}, r"at least one message"),
    ({"messages": [{"role": "tool", "content": "x"}]}, r"^messages\.0\.role: Input should be 'user'"),
    ({"messages": [{"role": "assistant", "content": "x"}]}, r"first message must use"),
    ({"n": 2}, r"^n: Extra inputs are not permitted$"),
    (turns([{**TEXT, "foo": 1}]), r"^messages\.0\.content\.0\.text\.foo: Extra inputs"),
    (turns([{"type": "image_url"}]), r"^messages\.0\.content\.0: Input tag 'image_url'"),
    (turns(""), r"must be non-empty"),
    (turns([]), r"^messages\.0: all messages must have non-empty content"),
    (turns([use("a")]), r"^messages\.0\.content\.0: `tool_use` blocks"),
    (turns("x", [result("a")]), r"^messages\.1\.content\.0: `tool_result` blocks"),
    (turns("x", "ends with a blank "), r"trailing whitespace"),
    (turns("x", [use("a b")], [result("a b")]), r"^messages\.1\.content\.0\.tool_use\.id: String should match"),
    (turns("x", [use("a")], "y"), r"^messages\.1: `tool_use` ids were found without .* after: a\."),
    (turns("x", [use("a"), use("b")], [result("a")]), r"after: b\."),
    (turns("x", [use("a")], [TEXT, result("a")]), r"after: a\."),
    (turns("x", [use("a")], [result("b")]), r"unexpected `tool_use_id` .*: b\."),
    (turns("x", [use("a"), use("a")], [result("a")]), r"ids must be unique"),
    (turns("x", [use("a")], [result("a"), result("a")]), r"single result"),
    ({"temperature": 1.5}, r"^temperature: Input should be less"),
    ({"stop_sequences": [" "]}, r"non-whitespace"),
    ({"tools": [{"name": "f"}]}, r"^tools\.0\.custom\.input_schema: Field required$"),
    ({"tools": [{"name": "f g", "input_schema": SCHEMA}]}, r"^tools\.0\.custom\.name: String should match"),
    ({"tools": [{"name": "f", "input_schema": {"type": "array"}}]}, r"^tools\.0\.custom\.input_schema\.type"),
    ({"tools": [{"name": "f", "input_schema": SCHEMA}] * 2}, r"must be unique"),
    ({"tool_choice": {"type": "any"}}, r"while providing tools"),
    (
        {"tools": [{"name": "f", "input_schema": SCHEMA}], "tool_choice": {"type": "tool", "name": "g"}},
        r"'g' not found",
    ),
    ({"thinking": {"type": "enabled", "budget_tokens": 9}}, r"^thinking\.budget_tokens: Input should be greater"),
    ({"thinking": {"type": "enabled"}}, r"budget_tokens: Field required"),
    ({"thinking": THINK, "max_tokens": 1024}, r"`max_tokens` must be greater"),
    ({"thinking": THINK, "temperature": 0.5}, r"`temperature` may only be set to 1"),
    (
        {"thinking": THINK, "tools": [{"name": "f", "input_schema": SCHEMA}], "tool_choice": {"type": "any"}},
        r"tool_choice forces",
    ),
    (turns("x", [{"type": "redacted_thinking", "data": "changed"}]), r"Invalid `data`"),
    (
        {"thinking": THINK, **turns("x", [use("a")], [result("a")])},
        r"^messages\.1\.content\.0\.type: Expected `thinking`",
    ),
    (turns([CACHED] * 5), r"maximum of 4 blocks with cache_control"),
]


@pytest.mark.parametrize(("fields", "reason"), ALL_RULES, ids=[reason for _, reason in ALL_RULES])
def test_request_is_refused_as_the_vendor_does(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(RequestRefused, match=reason):
        check(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        turns([TEXT, {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}]),
        turns("x", [TEXT, use("a"), use("b")], [result("b"), result("a"), TEXT]),
        turns("x", [use("a")], [result("a")], [use("b")], [result("b")]),
        {"messages": [USER, USER, {"role": "system", "content": "be brief"}]},
        {"messages": [USER, {"role": "assistant", "content": []}]},
        {
            "thinking": THINK,
            **turns("x", [{"type": "redacted_thinking", "data": rules.REDACTED_DATA}, use("a")], [result("a")]),
        },
        {
            "tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 1}],
            "tool_choice": {"type": "auto"},
        },
        {"temperature": 1, "top_p": 0, "metadata": {"user_id": "u"}, "system": [CACHED]},
    ],
)
def test_what_the_vendor_takes_is_taken(fields: dict[str, Any]) -> None:
    check(**fields)


def test_thinking_of_a_loop_of_tools_is_in_its_first_message() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": rules.sign("hm")}
    loop = turns("x", [thought, use("a")], [result("a")], [use("b")], [result("b")])

    check(thinking=THINK, **loop)


def test_adaptive_thinking_does_not_insist_on_a_thought_in_a_loop_of_tools() -> None:
    check(thinking={"type": "adaptive"}, **turns("x", [use("a")], [result("a")]))


CITED = {"type": "text", "text": "so", "citations": [{"type": "char_location"}]}
DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "so"}}


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 1},
        {"top_p": 1},
        {"top_k": 1},
        turns("x", [DOCUMENT], "y"),
        turns([CITED]),
        turns([{"type": "search_result", "source": "s", "title": "t", "content": [CITED]}]),
    ],
)
def test_newer_version_refuses_what_the_older_took(fields: dict[str, Any]) -> None:
    check(OLDER, **fields)

    with pytest.raises(RequestRefused, match=r"not permitted|not allowed"):
        check(rules.STRICT_VERSION, **fields)
