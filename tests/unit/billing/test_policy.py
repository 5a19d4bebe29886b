"""How much is handed out: at least the need, never more than there is, exact near the end."""

from hypothesis import given
from hypothesis import strategies as st

from tt_billing.domain.policy import EXACT_BELOW_NEEDS, SHARE_DIVISOR, grant_size, slice_size

AMOUNTS = st.integers(0, 10**12)


@given(need=AMOUNTS, queued=AMOUNTS, want=AMOUNTS, spare=AMOUNTS, month_spare=st.none() | AMOUNTS)
def test_a_grant_covers_the_need_and_stays_within_wallet_and_month(
    need: int, queued: int, want: int, spare: int, month_spare: int | None
) -> None:
    free, month_free = need + spare, None if month_spare is None else need + month_spare
    size = grant_size(need, queued, want, free, month_free)
    assert need <= size <= free
    assert month_free is None or size <= month_free


@given(need=st.integers(1, 10**9), queued=AMOUNTS, want=AMOUNTS)
def test_a_wallet_near_its_end_gives_only_what_waits(need: int, queued: int, want: int) -> None:
    free = EXACT_BELOW_NEEDS * need - 1
    assert grant_size(need, queued, want, free, None) == min(free, need + queued)


def test_a_rich_wallet_gives_what_is_wanted_up_to_a_share() -> None:
    assert grant_size(10, 5, 1000, 1_000_000, None) == 1000
    assert grant_size(10, 5, 10**9, 1_000_000, None) == 1_000_000 // SHARE_DIVISOR
    assert grant_size(10, 5, 1000, 1_000_000, 700) == 700


@given(want=AMOUNTS, free=st.integers(-(10**12), 0))
def test_nothing_is_given_without_need_when_nothing_is_free(want: int, free: int) -> None:
    assert grant_size(0, 0, want, free, None) == 0
    assert grant_size(0, 0, want, 10**12, free) == 0


@given(need=st.integers(0, 1000), want=st.integers(0, 1000), spare=st.integers(0, 1000))
def test_slices_cover_the_need_and_take_a_fair_part_of_the_rest(need: int, want: int, spare: int) -> None:
    size = slice_size(need, want, need + spare)
    assert need <= size <= need + spare // SHARE_DIVISOR
    assert size <= max(need, want)
