"""What the sandbox says: token counting and values that fit a schema."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_sandbox.provider.content import choose_tool, count_tokens, split_tokens, structured_text, words


@given(st.text())
def test_tokens_joined_are_the_text(text: str) -> None:
    assert "".join(split_tokens(text)) == text


@given(st.text(alphabet="ab \n", min_size=1).filter(lambda text: text[0] not in " \n"))
def test_counting_agrees_with_splitting(text: str) -> None:
    assert count_tokens(text) == len(split_tokens(text))


@pytest.mark.parametrize("count", [0, 1, 100])
def test_filler_has_exactly_the_tokens_asked_for(count: int) -> None:
    assert len(split_tokens("".join(words(count)))) == count


def test_schema_with_references_and_alternatives_is_filled() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "pet": {"$ref": "#/$defs/Pet"},
            "kind": {"enum": ["cat", "dog"]},
            "age": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        },
        "$defs": {"Pet": {"type": "object", "properties": {"name": {"type": "string"}}}},
    }

    text = structured_text({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})

    assert text is not None
    assert json.loads(text) == {"pet": {"name": "example"}, "kind": "cat", "age": 1}


def test_schema_that_contains_itself_ends() -> None:
    schema = {"type": "object", "properties": {"child": {"$ref": "#"}}}

    text = structured_text({"type": "json_schema", "json_schema": {"schema": schema}})

    assert text is not None
    assert json.loads(text)


@pytest.mark.parametrize(
    ("choice", "called"),
    [("required", "first"), ("none", None), ({"type": "function", "function": {"name": "second"}}, "second")],
)
def test_tool_choice_decides_which_tool_is_called(choice: Any, called: str | None) -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("first", "second")]

    chosen = choose_tool({"tools": tools, "tool_choice": choice}, [{"role": "user", "content": "hi"}])

    assert (chosen or {}).get("name") == called
