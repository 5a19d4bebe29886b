"""What the sandbox says: token counting and values that fit a schema."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_sandbox.provider.content import count_tokens, example_text, split_tokens, words


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

    assert json.loads(example_text(schema)) == {"pet": {"name": "example"}, "kind": "cat", "age": 1}


def test_schema_that_contains_itself_ends() -> None:
    schema = {"type": "object", "properties": {"child": {"$ref": "#"}}}

    assert json.loads(example_text(schema))
