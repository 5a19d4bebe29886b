"""Money: exact in, exact out, rounded half up once."""

from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tt_common.money import AMOUNT_NANOUSD_MAX, divide_half_up, format_usd, parse_usd

AMOUNTS = st.integers(-AMOUNT_NANOUSD_MAX, AMOUNT_NANOUSD_MAX)


@given(AMOUNTS, st.integers(0, 9))
@example(0, 0)
@example(-1, 2)
def test_what_is_formatted_parses_back_to_the_same_amount(nanousd: int, decimals_min: int) -> None:
    assert parse_usd(format_usd(nanousd, decimals_min)) == nanousd


@given(AMOUNTS)
def test_the_formatted_amount_is_the_exact_decimal(nanousd: int) -> None:
    assert Decimal(format_usd(nanousd)) == Decimal(nanousd) / Decimal(10**9)


@given(st.integers(0, 10**24), st.integers(1, 10**12))
@example(5, 10)
@example(4, 10)
def test_half_up_equals_the_fraction_plus_a_half_cut_off(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    assert divide_half_up(numerator, denominator) == (exact + Fraction(1, 2)).__floor__()


@given(st.integers(0, 10**18))
def test_half_up_equals_decimals_own_rounding(numerator: int) -> None:
    expected = (Decimal(numerator) / Decimal(10**6)).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    assert divide_half_up(numerator, 10**6) == int(expected)
    assert divide_half_up(numerator, 10**6) - int((Decimal(numerator) / 10**6).to_integral(ROUND_FLOOR)) in (0, 1)


@pytest.mark.parametrize(
    ("text", "nanousd"),
    [
        ("12.5", 12_500_000_000),
        (" 0.000000001 ", 1),
        ("-3", -3_000_000_000),
        ("9223372036.854775807", AMOUNT_NANOUSD_MAX),
    ],
)
def test_dollars_are_read_exactly(text: str, nanousd: int) -> None:
    assert parse_usd(text) == nanousd


@pytest.mark.parametrize(
    "text", ["", ".", "1.", ".5", "1e3", "1,5", "+1", "0.0000000001", "NaN", "9223372036.854775808", "١٢", "1 2", "0x1"]
)
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="amount"):
        parse_usd(text)
