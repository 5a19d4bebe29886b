"""Rate-limit counters of a key: slices handed to grants from one count, exact over all edges.

A window is a minute that begins with the first request after the one before it ended. Invariant: what is handed out
in a window never exceeds the limit in force when it was handed out; slices of a window that is over are void. Never
forgets a used request before its window ends.
"""

from typing import Final

import msgspec

from tt_billing.domain.book import Book, Grant, KeyWindow
from tt_billing.domain.policy import slice_size
from tt_common.contracts.grants import KeyTerms, ShrinkGrant, Slices
from tt_common.errors import DomainError

WINDOW_MS: Final = 60_000
CONCURRENCY_RETRY_S: Final = 1


class SlicePlan(msgspec.Struct, frozen=True):
    """What to hand out, and whether a new window begins with it."""

    begins_window: bool
    give: Slices


class RateRefusal(msgspec.Struct, frozen=True):
    """The first limit that does not hold what is needed."""

    kind: str
    error: DomainError


def window_with_terms(book: Book, key: KeyTerms) -> KeyWindow:
    """The key's counters, with the limits of the highest revision seen."""
    window = book.windows.get(key.key_id)
    if window is None:
        window = book.windows[key.key_id] = KeyWindow(key_id=key.key_id, account_id=key.account_id)
    if window.account_id != key.account_id:
        raise DomainError("invalid_request", "the key belongs to another account")
    if key.revision > window.revision:
        window.revision = key.revision
        window.monthly_limit_nanousd = key.monthly_limit_nanousd
        window.requests_per_minute = key.requests_per_minute
        window.tokens_per_minute = key.tokens_per_minute
        window.concurrency = key.concurrency
        book.changed_windows.add(window.key_id)
    return window


def is_over(window: KeyWindow, now_ms: int) -> bool:
    """Also a window that begins in a future no second process could be ahead by: the clock was put back since."""
    return not -WINDOW_MS <= now_ms - window.started_ms < WINDOW_MS


def plan_slices(window: KeyWindow, need: Slices, want: Slices, now_ms: int) -> SlicePlan | RateRefusal:
    """Decide what to hand out; changes nothing."""
    begins = is_over(window, now_ms) and bool(need.requests or need.tokens or want.requests or want.tokens)
    rows = (
        ("requests", window.requests_per_minute, 0 if begins else window.requests_out, need.requests, want.requests),
        ("tokens", window.tokens_per_minute, 0 if begins else window.tokens_out, need.tokens, want.tokens),
        ("concurrency", window.concurrency, window.concurrency_out, need.concurrency, want.concurrency),
    )
    give: dict[str, int] = {}
    for kind, limit, handed_out, needed, wanted in rows:
        left = None if limit is None else limit - handed_out
        if left is not None and needed > 0 and needed > left:
            return RateRefusal(kind, _refused(kind, limit or 0, window, begins, now_ms))
        give[kind] = slice_size(needed, wanted, left)
    return SlicePlan(begins, Slices(**give))


def _refused(kind: str, limit: int, window: KeyWindow, begins: bool, now_ms: int) -> DomainError:
    wait_ms = WINDOW_MS if begins else window.started_ms + WINDOW_MS - now_ms
    retry_after_s = CONCURRENCY_RETRY_S if kind == "concurrency" else max(1, -(-wait_ms // 1000))
    return DomainError(
        "rate_limit_exceeded",
        f"the key's limit of {limit} {kind} is reached",
        limit_kind=kind,
        limit=limit,
        retry_after_s=retry_after_s,
    )


def hand_out(book: Book, window: KeyWindow, grant: Grant, plan: SlicePlan, now_ms: int) -> None:
    """Carry a plan out."""
    if plan.begins_window:
        window.window += 1
        window.started_ms = now_ms
        window.requests_out = window.tokens_out = 0
    if grant.slice_window != window.window:
        grant.slice_window = window.window
        grant.slice_requests = grant.slice_tokens = grant.back_requests = grant.back_tokens = 0
        grant.requests_all_used = True
    give = plan.give
    grant.slice_requests += give.requests
    grant.slice_tokens += give.tokens
    grant.slice_concurrency += give.concurrency
    grant.requests_all_used = grant.requests_all_used and not give.requests
    window.requests_out += give.requests
    window.tokens_out += give.tokens
    window.concurrency_out += give.concurrency
    if plan.begins_window or give != Slices():
        book.changed_windows.add(window.key_id)


def take_back(book: Book, window: KeyWindow, grant: Grant, shrink: ShrinkGrant, now_ms: int) -> None:
    """Count what is newly given back; slices of another window are void already."""
    if shrink.window == grant.slice_window == window.window and not is_over(window, now_ms):
        requests = _newly_back(shrink.given_back.requests, grant.back_requests, grant.slice_requests)
        tokens = _newly_back(shrink.given_back.tokens, grant.back_tokens, grant.slice_tokens)
        window.requests_out -= requests
        window.tokens_out -= tokens
        grant.slice_requests -= requests
        grant.slice_tokens -= tokens
        grant.back_requests += requests
        grant.back_tokens += tokens
        grant.requests_all_used = shrink.requests_seen >= grant.slice_requests + grant.back_requests
    concurrency = _newly_back(shrink.given_back.concurrency, grant.back_concurrency, grant.slice_concurrency)
    window.concurrency_out -= concurrency
    grant.slice_concurrency -= concurrency
    grant.back_concurrency += concurrency
    book.changed_windows.add(window.key_id)


def _newly_back(total: int, known: int, in_hand: int) -> int:
    return max(0, min(total - known, in_hand))


def free_slots(book: Book, window: KeyWindow | None, grant: Grant) -> None:
    """The end of a grant frees its concurrency; its requests and tokens stay counted until the window ends."""
    if window is not None and grant.slice_concurrency:
        window.concurrency_out -= grant.slice_concurrency
        book.changed_windows.add(window.key_id)
    grant.slice_concurrency = 0


def slices_granted(window: KeyWindow, grant: Grant, now_ms: int) -> Slices:
    """All that was ever granted: requests and tokens of the present window, concurrency since the opening."""
    present = grant.slice_window == window.window and not is_over(window, now_ms)
    return Slices(
        requests=grant.slice_requests + grant.back_requests if present else 0,
        tokens=grant.slice_tokens + grant.back_tokens if present else 0,
        concurrency=grant.slice_concurrency + grant.back_concurrency,
    )


def limits_left(window: KeyWindow, now_ms: int) -> Slices:
    """What nobody has of the key's limits; 0 where there is no limit."""
    over = is_over(window, now_ms)

    def left(limit: int | None, handed_out: int) -> int:
        return 0 if limit is None else max(0, limit - handed_out)

    return Slices(
        requests=left(window.requests_per_minute, 0 if over else window.requests_out),
        tokens=left(window.tokens_per_minute, 0 if over else window.tokens_out),
        concurrency=left(window.concurrency, window.concurrency_out),
    )
