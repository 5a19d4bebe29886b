"""Months in UTC, times as RFC 3339."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tt_common.clock import month_of, month_start_ms, rfc3339, to_datetime

MOMENTS = st.integers(0, 4_102_444_800_000)


@given(MOMENTS)
def test_every_moment_lies_within_its_month(moment_ms: int) -> None:
    month = month_of(moment_ms)
    assert month_start_ms(month) <= moment_ms < month_start_ms(month, 1)
    assert month_of(month_start_ms(month, 1) - 1) == month


@given(MOMENTS, st.integers(-30, 30), st.integers(-30, 30))
def test_months_add_up(moment_ms: int, first: int, second: int) -> None:
    month = month_of(moment_ms)
    assert month_start_ms(month_of(month_start_ms(month, first)), second) == month_start_ms(month, first + second)


def test_the_last_millisecond_of_a_year_is_december() -> None:
    new_year_ms = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
    assert month_of(new_year_ms - 1) == "2025-12"
    assert month_start_ms("2025-12", 1) == new_year_ms


@given(MOMENTS)
def test_rfc3339_names_the_millisecond_exactly(moment_ms: int) -> None:
    text = rfc3339(moment_ms)
    parsed = datetime.fromisoformat(text)
    assert (int(parsed.replace(microsecond=0).timestamp()), parsed.microsecond // 1000) == divmod(moment_ms, 1000)
    assert to_datetime(moment_ms).tzinfo is UTC
