"""Requests that Gemini refuses, and the field that the refusal names."""

from typing import Any

import pytest

from tt_sandbox.provider.dialect import RequestRefused
from tt_sandbox.provider.gemini import rules
from tt_sandbox.provider.gemini.forms import read_generate

TEXT: dict[str, Any] = {"text": "hi"}
CALL: dict[str, Any] = {"functionCall": {"name": "f", "id": "1"}}
SIGNED = CALL | {"thoughtSignature": rules.sign("f")}
RESPONSE: dict[str, Any] = {"functionResponse": {"name": "f", "id": "1", "response": {}}}
PREFIX = r"^\* GenerateContentRequest\."


def turns(*parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Contents of a user and a model in turns."""
    return {"contents": [{"role": ("user", "model")[index % 2], "parts": one} for index, one in enumerate(parts)]}


def parameters(schema: Any) -> dict[str, Any]:
    return {"tools": [{"functionDeclarations": [{"name": "f", "parameters": schema}]}]}


def config(**fields: Any) -> dict[str, Any]:
    return {"generationConfig": fields}


def calling(**fields: Any) -> dict[str, Any]:
    return {"toolConfig": {"functionCallingConfig": fields}}


def check(model: str = "gemini-2.5-flash", /, **fields: Any) -> None:
    rules.check(read_generate(turns([TEXT]) | fields), model)


DECLARED = parameters({"type": "OBJECT"})
ALL_RULES: list[tuple[dict[str, Any], str]] = [
    ({"contents": []}, PREFIX + "contents: contents is not specified"),
    ({"messages": []}, r'Unknown name "messages": Cannot find field'),
    (turns([{"txt": "hi"}]), r"Unknown name \"txt\" at 'contents\[0\]\.parts\[0\]'"),
    (turns([{}]), PREFIX + r"contents\[0\]\.parts\[0\]\.data: required oneof"),
    (turns([TEXT | CALL]), r"oneof field 'data'"),
    (turns([]), PREFIX + r"contents\[0\]\.parts"),
    ({"contents": [{"role": "assistant", "parts": [TEXT]}]}, r"valid role: user, model"),
    (turns([CALL]), r"function call turn comes immediately after"),
    (turns([RESPONSE]), r"function response turn comes immediately after"),
    (turns([TEXT], [CALL, CALL], [RESPONSE]), r"number of function response parts is equal"),
    (turns([TEXT], [CALL], [TEXT]), r"number of function response parts is equal"),
    (turns([TEXT], [CALL], [{"functionResponse": {"name": "g", "response": {}}}]), r"name the functions"),
    (turns([TEXT], [CALL], [{"functionResponse": {"name": "f", "id": "2", "response": {}}}]), r"the id of a function"),
    (turns([TEXT], [CALL], [{"functionResponse": {"name": "f", "response": "fine"}}]), r"response: .*dictionary"),
    (parameters({"type": "OBJECT", "additionalProperties": False}), r'Unknown name "additionalProperties" at'),
    (parameters({"type": "OBJECT", "properties": {"a": {"$ref": "#"}}}), r'Unknown name "\$ref" at'),
    (parameters({"type": "STRING", "const": "a"}), r'Unknown name "const" at'),
    (parameters({"type": "OBJECT", "properties": {"a": {"type": "ARRAY"}}}), r"properties\[a\]\.items: missing field"),
    (parameters({"type": "OBJECT", "required": ["a"]}), r"required: property is not defined: a"),
    ({"tools": [{"functionDeclarations": [{"name": "f"}, {"name": "f"}]}]}, r"Duplicate function"),
    (
        {"tools": [{"functionDeclarations": [{"name": "1 f"}]}]},
        r"function_declarations\[0\]\.name: String should match",
    ),
    (calling(mode="ANY"), r"without function_declarations"),
    (DECLARED | calling(allowedFunctionNames=["f"]), r"mode must be ANY"),
    (DECLARED | calling(mode="ANY", allowedFunctionNames=["g"]), r"not declared: g"),
    (config(temperature=3), PREFIX + r"generation_config\.temperature: "),
    (config(stopSequences=list("abcdef")), r"stop_sequences: "),
    (config(responseSchema={"type": "OBJECT"}), r"response_mime_type application/json"),
]


@pytest.mark.parametrize(("fields", "reason"), ALL_RULES, ids=[reason for _, reason in ALL_RULES])
def test_request_is_refused_as_the_vendor_does(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(RequestRefused, match=reason):
        check(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        turns([TEXT], [CALL, CALL], [RESPONSE, RESPONSE], [TEXT]),
        turns([TEXT], [CALL], [RESPONSE, TEXT], [CALL], [RESPONSE]),
        {"system_instruction": {"parts": [TEXT]}, "generation_config": {"max_output_tokens": 5}},
        DECLARED | calling(mode="ANY", allowedFunctionNames=["f"]),
        {"tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"$ref": "#", "const": 1}}]}]},
        {"tools": [{"googleSearch": {}}]},
    ],
)
def test_what_the_vendor_takes_is_taken(fields: dict[str, Any]) -> None:
    check(**fields)


def test_only_newer_models_insist_on_signatures_and_only_in_the_present_turn() -> None:
    present = turns([TEXT], [CALL], [RESPONSE])
    past = turns([TEXT], [CALL], [RESPONSE], [TEXT], [TEXT])

    check("gemini-2.5-flash", **present)
    check("gemini-3-pro", **past)
    check("gemini-3-pro", **turns([TEXT], [SIGNED], [RESPONSE]))
    with pytest.raises(RequestRefused, match="missing a thought_signature"):
        check("gemini-3-pro", **present)
