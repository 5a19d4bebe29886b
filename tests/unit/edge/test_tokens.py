"""Counting tokens: the same count the second time, and a memory that stays small and holds no text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_edge.domain import tokens
from tt_edge.domain.tokens import BYTES_PER_TOKEN_MIN, TEXT_BYTES_MAX, count_prompt_tokens, count_tokens


@given(st.lists(st.text(max_size=200), max_size=5))
def test_a_remembered_count_is_the_count(texts: list[str]) -> None:
    first, again = count_prompt_tokens(texts), count_prompt_tokens(texts)

    assert first == again == count_tokens(texts)


def test_long_texts_get_a_bound_without_tokenizing() -> None:
    long = "word " * TEXT_BYTES_MAX

    assert count_prompt_tokens([long]) == count_tokens([long]) == len(long) // BYTES_PER_TOKEN_MIN + 1


def test_the_memory_of_counts_is_bounded_and_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    counts: dict[tuple[int, int], int] = {}
    monkeypatch.setattr(tokens, "_counts", counts)
    monkeypatch.setattr(tokens, "COUNTS_REMEMBERED_MAX", 3)

    # when
    for number in range(10):
        count_prompt_tokens([f"text {number}"])

    # then
    assert set(counts) == {(hash(f"text {number}"), len(f"text {number}")) for number in (7, 8, 9)}
