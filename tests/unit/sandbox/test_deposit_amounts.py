"""Amounts as `make deposit` takes and tells them."""

import pytest

from tt_sandbox.stack.deposit import Problem, format_usdt, parse_usdt


@pytest.mark.parametrize(
    ("text", "micro_usdt"), [("25", 25_000_000), ("0.5", 500_000), ("1.000001", 1_000_001), ("007", 7_000_000)]
)
def test_an_amount_is_exact_to_the_millionth(text: str, micro_usdt: int) -> None:
    assert parse_usdt(text) == micro_usdt
    assert parse_usdt(format_usdt(micro_usdt)) == micro_usdt


@pytest.mark.parametrize("text", ["", "0", "0.000000", "1.0000001", "-5", "1e3", "5,5", "٣", "USDT", "1" * 13])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(Problem):
        parse_usdt(text)
