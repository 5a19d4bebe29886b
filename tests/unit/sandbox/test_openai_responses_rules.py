"""Requests to the Responses endpoint that OpenAI refuses, in its words; what is kept of answers, and no more than that."""

from typing import Any

import pytest

from tt_sandbox.provider.dialect import RequestRefused
from tt_sandbox.provider.openai.responses.rules import encrypt, read_request
from tt_sandbox.provider.openai.responses.store import Kept, ResponseStore

USER: Any = {"role": "user", "content": "hi"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = {"type": "function", "name": "f", "parameters": SCHEMA}
THOUGHT = {"type": "reasoning", "id": "rs_sandbox7", "summary": [], "encrypted_content": encrypt("rs_sandbox7")}
KEPT = Kept(b"{}", 10, frozenset({"call_kept"}))


def call(call_id: str, item_id: str = "fc_1") -> dict[str, Any]:
    return {"type": "function_call", "id": item_id, "call_id": call_id, "name": "f", "arguments": "{}"}


def output(call_id: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": "fine"}


def part(kind: str, role: str = "user") -> dict[str, Any]:
    return {"input": [{"role": role, "content": [{"type": kind, "text": "x"}]}]}


def text(**form: Any) -> dict[str, Any]:
    return {"text": {"format": form}}


def read(**fields: Any) -> None:
    store = ResponseStore()
    store.keep("resp_kept", KEPT, ["rs_kept"])
    read_request({"model": "m", "input": "hi", **fields}, store)


# Field that the refusal names, its code, a part of its words.
ALL_RULES: list[tuple[dict[str, Any], str | None, str | None, str]] = [
    ({"foo": 1}, "foo", "unknown_parameter", r"^Unknown parameter: 'foo'\.$"),
    ({"messages": [USER]}, "messages", "unknown_parameter", r"^Unknown parameter: 'messages'\.$"),
    ({"input": []}, "input", "empty_array", r"empty array"),
    ({"input": 3}, "input", "invalid_type", r"expected a string or an array, but got an integer"),
    ({"input": [{"type": "what"}]}, "input[0].type", "invalid_value", r"^Invalid value: 'what'"),
    ({"input": [USER | {"name": "x"}]}, "input[0].name", "unknown_parameter", r"^Unknown parameter"),
    (
        part("output_text"),
        "input[0].content[0]",
        "invalid_value",
        r"'output_text'\. Supported values are: 'input_text'",
    ),
    (part("input_text", "assistant"), "input[0].content[0]", "invalid_value", r"are: 'output_text' and 'refusal'"),
    (part("text"), "input[0].content[0].type", "invalid_value", r"^Invalid value: 'text'"),
    ({"max_output_tokens": 15}, "max_output_tokens", "integer_below_min_value", r"Expected a value >= 16"),
    ({"tools": [TOOL | {"name": "f g"}]}, "tools[0].name", "invalid_value", r"does not match pattern"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function", "unknown_parameter", r"^Unknown"),
    ({"tools": [TOOL | {"strict": True}]}, "tools[0].parameters", "invalid_function_parameters", r"function 'f'"),
    ({"tool_choice": "required"}, "tool_choice", None, r"must be specified with 'tools'"),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "g"}}, "tool_choice", None, r"'g' not found"),
    (text(type="json_object"), "input", None, r"must contain the word 'json'"),
    (text(type="json_schema", name="x"), "text.format.schema", "missing_required_parameter", r"^Missing"),
    (
        text(type="json_schema", name="x", schema=SCHEMA, strict=True),
        "text.format.schema",
        "invalid_json_schema",
        r"additionalProperties",
    ),
    ({"stream_options": {}}, "stream_options", None, r"only allowed when 'stream'"),
    ({"input": [USER, output("a")]}, "input", None, r"^No tool call found for function call output with call_id a\.$"),
    ({"input": [USER, call("a")]}, "input", None, r"^No tool output found for function call a\.$"),
    ({"previous_response_id": "resp_kept"}, "input", None, r"^No tool output found for function call call_kept\.$"),
    (
        {"previous_response_id": "resp_no"},
        "previous_response_id",
        "previous_response_not_found",
        r"'resp_no' not found",
    ),
    ({"input": [USER, THOUGHT]}, "input", None, r"^Item 'rs_sandbox7' .* without its required following item"),
    ({"input": [USER, THOUGHT, USER]}, "input", None, r"without its required following item"),
    (
        {"input": [USER, call("a", "fc_sandbox7r0"), output("a")]},
        "input",
        None,
        r"^Item 'fc_sandbox7r0' of type 'function_call' was .* 'reasoning' item: 'rs_sandbox7'\.$",
    ),
    (
        {"input": [USER, THOUGHT | {"encrypted_content": "x"}, call("a"), output("a")]},
        None,
        "invalid_encrypted_content",
        r"could not be verified",
    ),
    ({"background": True}, "background", None, r"Background"),
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
        {"stream": None, "tools": [], "tool_choice": "auto", "parallel_tool_calls": True, "sandbox": {}},
        {"input": [USER, call("a"), call("b"), output("b"), output("a"), USER]},
        {"input": [USER, THOUGHT, call("a", "fc_sandbox7r0"), output("a")]},
        {"input": [USER, THOUGHT | {"id": "rs_kept", "encrypted_content": None}, call("a"), output("a")]},
        {"input": [{"id": "rs_kept"}, USER]},
        {"previous_response_id": "resp_kept", "input": [output("call_kept")]},
        {"tools": [TOOL, {"type": "web_search", "filters": {}}], "tool_choice": {"type": "function", "name": "f"}},
        part("output_text", "assistant"),
        text(type="json_object") | {"input": "as JSON"},
    ],
)
def test_what_the_vendor_takes_is_taken(fields: dict[str, Any]) -> None:
    read(**fields)


def test_item_that_was_not_stored_is_not_found() -> None:
    with pytest.raises(RequestRefused, match=r"^Item with id 'rs_gone' not found\. Items are not persisted") as refused:
        read(input=[{"type": "item_reference", "id": "rs_gone"}])

    assert refused.value.status == 404


@pytest.mark.parametrize("limits", [{"kept_max": 2}, {"bytes_max": 250}])
def test_oldest_responses_go_when_the_store_is_full(limits: dict[str, int]) -> None:
    store = ResponseStore(**limits)
    for number in range(3):
        store.keep(f"resp_{number}", KEPT._replace(body=b"x" * 100), [f"msg_{number}"])

    assert store.body("resp_2")
    assert not store.has_item("msg_0")
    with pytest.raises(RequestRefused, match="not found"):
        store.body("resp_0")
