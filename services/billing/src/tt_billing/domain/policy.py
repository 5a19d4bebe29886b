"""How much to hand out. Pure arithmetic in nanoUSD and whole numbers; never decides whether, only how much.

A wallet with plenty left gives about ten seconds of spending, at most a share of what is free; one near its end gives
exact amounts, so that no money is stranded on an edge.
"""

from typing import Final

EXACT_BELOW_NEEDS: Final = 20
SHARE_DIVISOR: Final = 8


def grant_size(need: int, queued: int, want: int, free: int, month_free: int | None) -> int:
    """NanoUSD to add to a grant, at least `need`; the caller has checked that `need` is there.

    `free` is what the wallet may still promise, `month_free` what is left of the key's month (None: no limit).
    """
    ceiling = free if month_free is None else min(free, month_free)
    size = need + queued if free < EXACT_BELOW_NEEDS * need else max(need + queued, min(want, free // SHARE_DIVISOR))
    return max(need, min(size, ceiling))


def slice_size(need: int, want: int, left: int | None) -> int:
    """Units of a rate limit to hand out, at least `need`; `left` is what is not handed out (None: no limit)."""
    if left is None:
        return max(need, want)
    return need + max(0, min(want - need, (left - need) // SHARE_DIVISOR))
