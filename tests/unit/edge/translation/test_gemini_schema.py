"""JSON Schema in Gemini's words: one bad name refuses a whole request, so none is left; what a model needs to know is kept."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_edge.protocols.gemini.schema import gemini_schema
from tt_sandbox.provider.gemini import rules
from tt_sandbox.provider.gemini.forms import read_generate

CASES: list[tuple[Any, Any]] = [
    ({"type": "string", "$schema": "x", "additionalProperties": False, "exclusiveMinimum": 1}, {"type": "STRING"}),
    ({"const": "Rome"}, {"type": "STRING", "enum": ["Rome"]}),
    ({"type": "string", "enum": ["a", None]}, {"type": "STRING", "enum": ["a"], "nullable": True}),
    ({"enum": [1, 2], "description": "How many."}, {"type": "INTEGER", "description": "How many. One of: 1, 2."}),
    ({"type": ["string", "null"]}, {"type": "STRING", "nullable": True}),
    ({"type": ["string", "integer"]}, {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "STRING", "nullable": True}),
    ({"oneOf": [{"type": "string"}, {"type": "number"}]}, {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}]}),
    ({"type": "array"}, {"type": "ARRAY", "items": {"type": "STRING"}}),
    ({"type": "array", "prefixItems": [{"type": "integer"}]}, {"type": "ARRAY", "items": {"type": "INTEGER"}}),
    ({"type": "array", "items": []}, {"type": "ARRAY", "items": {"type": "STRING"}}),
    ({"anyOf": [{"type": "null"}]}, {"type": "STRING", "nullable": True}),
    ({"type": "string", "format": "uri"}, {"type": "STRING"}),
    ({"type": "string", "format": "date-time"}, {"type": "STRING", "format": "date-time"}),
    ({"type": "object", "properties": {}}, {"type": "OBJECT"}),
    (
        {"type": "object", "properties": {"a": True}, "required": ["a", "b"]},
        {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "required": ["a"], "propertyOrdering": ["a"]},
    ),
    (
        {"allOf": [{"properties": {"a": {"type": "integer"}}}, {"properties": {"b": {"type": "boolean"}}}]},
        {
            "type": "OBJECT",
            "properties": {"a": {"type": "INTEGER"}, "b": {"type": "BOOLEAN"}},
            "propertyOrdering": ["a", "b"],
        },
    ),
]


@pytest.mark.parametrize(("schema", "wanted"), CASES)
def test_pitfall_14_a_schema_says_the_same_in_geminis_words(schema: Any, wanted: Any) -> None:
    assert gemini_schema(schema) == wanted


def test_pitfall_14_references_are_put_in_place_and_one_that_goes_round_ends() -> None:
    schema = {
        "type": "object",
        "properties": {"tree": {"$ref": "#/$defs/node"}, "lost": {"$ref": "#/$defs/none", "description": "?"}},
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "sub": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
            }
        },
    }
    found = gemini_schema(schema)
    tree = found["properties"]["tree"]["properties"]
    assert tree["name"] == {"type": "STRING"}
    assert tree["sub"] == {"type": "ARRAY", "items": {"type": "OBJECT"}}
    assert found["properties"]["lost"] == {"type": "OBJECT", "description": "?"}
    assert "$defs" not in found


def test_references_that_multiply_come_to_an_end() -> None:
    levels = {
        f"n{i}": {"type": "object", "properties": {k: {"$ref": f"#/$defs/n{i + 1}"} for k in "abcd"}} for i in range(20)
    }
    found = gemini_schema({"$ref": "#/$defs/n0", "$defs": {**levels, "n20": {"type": "string"}}})
    assert found["type"] == "OBJECT"


words = st.sampled_from(["string", "number", "integer", "boolean", "array", "object", "null", "odd"])
schemas: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.fixed_dictionaries({}, optional={"type": words, "enum": st.lists(st.text() | st.integers())}),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": words | st.lists(words),
            "properties": st.dictionaries(st.text(max_size=3), inner, max_size=3),
            "required": st.lists(st.text(max_size=3), max_size=3),
            "items": inner | st.lists(inner, max_size=2),
            "anyOf": st.lists(inner, max_size=3),
            "allOf": st.lists(inner, max_size=3),
            "const": st.none() | st.integers() | st.text(),
            "$ref": st.sampled_from(["#", "#/properties/a", "#/$defs/x", "other.json"]),
            "patternProperties": st.just({}),
            "description": st.text(),
        },
    ),
    max_leaves=12,
)


@given(schemas.filter(lambda schema: isinstance(schema, dict)))
def test_whatever_the_schema_gemini_takes_what_becomes_of_it(schema: Any) -> None:
    declared = {"functionDeclarations": [{"name": "look", "parameters": gemini_schema(schema)}]}
    body = {"contents": [{"parts": [{"text": "hi"}]}], "tools": [declared]}
    rules.check(read_generate(body), "gemini-1.5-pro")
