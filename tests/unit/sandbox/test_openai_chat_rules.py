"""Chats that OpenAI refuses, in its words, and the field that the refusal names."""

from typing import Any

import pytest

from tt_sandbox.provider.dialect import RequestRefused
from tt_sandbox.provider.openai.chat_rules import read_chat

USER: Any = {"role": "user", "content": "hi"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
CLOSED = SCHEMA | {"additionalProperties": False, "required": ["a"]}


def calls(*ids: str) -> dict[str, Any]:
    """An assistant's message that calls a tool once for each id."""
    function = {"name": "f", "arguments": "{}"}
    return {"role": "assistant", "tool_calls": [{"id": one, "type": "function", "function": function} for one in ids]}


def result(call_id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": "fine"}


def tool(**function: Any) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": "f", **function}}]


def said(content: Any, role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content}]}


def read(**fields: Any) -> None:
    read_chat({"model": "m", "messages": [USER], **fields})


IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
JSON_FORMAT = {"type": "json_object"}
STRICT = {"name": "x", "strict": True}
# Field that the refusal names, its code, a part of its words.
ALL_RULES: list[tuple[dict[str, Any], str | None, str | None, str]] = [
    ({"foo": 1}, None, None, r"^Unrecognized request argument supplied: foo$"),
    ({"foo": 1, "bar": 1}, None, None, r"^Unrecognized request arguments supplied: foo, bar$"),
    ({"messages": []}, "messages", "empty_array", r"minimum length 1, but got an empty array instead\.$"),
    ({"messages": "hi"}, "messages", "invalid_type", r"expected an array, but got a string instead"),
    (said("x", "bot"), "messages[0].role", "invalid_value", r"^Invalid value: 'bot'\. Supported values are: 'system'"),
    ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter", r"^Missing required"),
    ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter", r"^Missing required"),
    (said(None), "messages[0].content", "invalid_type", r"expected a string or an array, but got null"),
    (said([]), "messages[0].content", "empty_array", r"empty array"),
    (said([IMAGE], "system"), "messages[0].content[0].type", "invalid_value", r"^Invalid value: 'image_url'"),
    (said([{"type": "text"}]), "messages[0].content[0].text", "missing_required_parameter", r"^Missing"),
    (
        said([IMAGE | {"image_url": {"url": "file:///a"}}]),
        "messages[0].content[0].image_url.url",
        "invalid_value",
        r"base64-encoded data URL",
    ),
    ({"messages": [USER | {"x": 1}]}, "messages[0].x", "unknown_parameter", r"^Unknown parameter: 'messages\[0\]\.x'"),
    (said(None, "assistant"), "messages.[0].content", None, r"expected a string, got null"),
    (
        {"messages": [{"role": "assistant", "content": "x", "tool_calls": []}]},
        "messages[0].tool_calls",
        "empty_array",
        r"empty array",
    ),
    ({"messages": [USER, result("a")]}, "messages.[1].role", None, r"must be a response to a preceeding message"),
    ({"messages": [USER, calls("a"), result("b")]}, "messages.[2].role", None, r"must be a response to"),
    ({"messages": [USER, calls("a", "b"), result("a"), USER]}, "messages.[3].role", None, r"response messages: b$"),
    ({"messages": [USER, calls("a")]}, "messages.[1].role", None, r"response messages: a$"),
    ({"n": 0}, "n", "integer_below_min_value", r"Expected a value >= 1, but got 0 instead"),
    ({"n": 129}, "n", "integer_above_max_value", r"Expected a value <= 128, but got 129 instead"),
    ({"temperature": 2.5}, "temperature", "decimal_above_max_value", r"<= 2, but got 2\.5"),
    ({"temperature": "hot"}, "temperature", "invalid_type", r"expected a decimal, but got a string"),
    ({"stop": list("abcde")}, "stop", "array_above_max_length", r"maximum length 4, but got an array with length 5"),
    ({"tools": []}, "tools", "empty_array", r"empty array"),
    ({"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter", r"^Missing"),
    ({"tools": tool(name="f g")}, "tools[0].function.name", "invalid_value", r"does not match pattern"),
    ({"tools": tool(name="f" * 65)}, "tools[0].function.name", "string_above_max_length", r"length 64.*length 65"),
    (
        {"tools": tool(strict=True, parameters=SCHEMA)},
        "tools[0].function.parameters",
        "invalid_function_parameters",
        r"^Invalid schema for function 'f': In context=\(\), 'additionalProperties' is required",
    ),
    ({"tool_choice": "auto"}, "tool_choice", None, r"only allowed when 'tools' are specified"),
    ({"parallel_tool_calls": True}, "parallel_tool_calls", None, r"only allowed when 'tools' are specified"),
    (
        {"tools": tool(), "tool_choice": {"type": "function", "function": {"name": "g"}}},
        "tool_choice",
        None,
        r"'g' not found",
    ),
    ({"response_format": JSON_FORMAT}, "messages", None, r"must contain the word 'json'"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
        "response_format.json_schema.schema",
        "missing_required_parameter",
        r"^Missing",
    ),
    (
        {"response_format": {"type": "json_schema", "json_schema": STRICT | {"schema": CLOSED | {"required": []}}}},
        "response_format",
        "invalid_json_schema",
        r"Missing 'a'",
    ),
    ({"stream_options": {"include_usage": True}}, "stream_options", None, r"only allowed when 'stream' is enabled"),
    ({"model": "gpt-5", "max_tokens": 9}, "max_tokens", "unsupported_parameter", r"Use 'max_completion_tokens'"),
    ({"max_tokens": 9, "max_completion_tokens": 9}, None, "invalid_parameter_combination", r"at the same time"),
    ({"reasoning_effort": "huge"}, "reasoning_effort", "invalid_value", r"^Invalid value: 'huge'"),
    ({"top_logprobs": 2}, "top_logprobs", None, r"only allowed when 'logprobs'"),
    ({"modalities": ["text", "audio"]}, "audio", "missing_required_parameter", r"^Missing"),
]


@pytest.mark.parametrize(("fields", "param", "code", "words"), ALL_RULES, ids=[rule[3] for rule in ALL_RULES])
def test_request_is_refused_as_the_vendor_does(
    fields: dict[str, Any], param: str | None, code: str | None, words: str
) -> None:
    with pytest.raises(RequestRefused, match=words) as refused:
        read(**fields)

    assert (refused.value.status, refused.value.param, refused.value.code) == (400, param, code)


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": None, "stop": None, "n": None, "temperature": 1, "sandbox": {}},
        {"messages": [USER, calls("a", "b"), result("b"), result("a"), USER]},
        {"messages": [USER, calls("a"), result("a"), calls("a"), result("a")]},
        {"messages": [{"role": "system", "content": "x"}, USER, {"role": "developer", "content": "y"}]},
        {"messages": [USER, {"role": "assistant", "content": "x", "refusal": None, "annotations": []}, USER]},
        said([{"type": "text", "text": ""}, IMAGE]),
        {"tools": tool(strict=True, parameters=CLOSED), "tool_choice": "required", "parallel_tool_calls": False},
        {"response_format": {"type": "json_schema", "json_schema": STRICT | {"schema": CLOSED}}},
        {"response_format": JSON_FORMAT, **said("some JSON please")},
        {"model": "gpt-5", "max_completion_tokens": 9, "reasoning_effort": "low"},
    ],
)
def test_what_the_vendor_takes_is_taken(fields: dict[str, Any]) -> None:
    read(**fields)
