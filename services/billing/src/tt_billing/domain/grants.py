"""The life of a grant: open, extend, renew, shrink, close, lose, end.

Invariant: `held` of a grant is money that its wallet holds; what is promised is never more than the wallet and the
key's month have; a grant that is lost stays held, for it may be spent. A revision is applied once. Never charges:
only usage does.
"""

from typing import Literal

import msgspec

from tt_billing.domain import windows
from tt_billing.domain.book import Book, Grant, KeyWindow
from tt_billing.domain.policy import grant_size
from tt_common.clock import month_start_ms
from tt_common.contracts.events import GrantLost
from tt_common.contracts.grants import ChangeGrant, GrantReply, ShrinkGrant
from tt_common.errors import DomainError
from tt_common.ids import derived_event_id

Shortage = Literal["wallet", "month", "requests", "tokens", "concurrency"]


class GrantTerms(msgspec.Struct, frozen=True, kw_only=True):
    """How long grants live: soft expiry ends admissions, hard expiry makes a grant lost."""

    soft_ttl_s: float
    hard_ttl_s: float


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A change that can't be granted from what is free; a recall of other grants might help."""

    error: DomainError
    shortage: Shortage
    account_id: str
    grant_id: str
    key_id: str
    month: str


def change_grant(book: Book, request: ChangeGrant, terms: GrantTerms) -> GrantReply | Refusal:
    """Open, extend or renew. Raises DomainError for what no recall can help; a refusal has moved nothing."""
    now_ms = book.booked_at_ms
    grant = book.grants.get(request.grant_id)
    if request.granted_seen_nanousd > (0 if grant is None else grant.granted_nanousd):
        raise DomainError("grant_ended", "more was granted than is known here: the ledger was restored")
    if grant is not None:
        _check_changeable(grant, request)
    window = windows.window_with_terms(book, request.key)
    if grant is not None and grant.revision == request.revision:
        _renew(book, grant, terms)
        return _reply(book, grant, window, terms)
    month = book.month if grant is None else grant.month
    plan = windows.plan_slices(window, request.need, request.want, now_ms)
    if isinstance(plan, windows.RateRefusal):
        return _refusal(request, month, plan.kind, plan.error)  # pyright: ignore[reportArgumentType]
    month_free = _month_free(book, window, month)
    need = request.need_nanousd
    if need > 0 and month_free is not None and need > month_free:
        return _refusal(request, month, "month", _quota_exceeded(window, month_free, month))
    wallet = book.wallets[request.key.account_id]
    if need > 0 and need > wallet.free_nanousd:
        error = DomainError(
            "billing_shortfall",
            "the wallet does not cover the call",
            available_nanousd=wallet.free_nanousd,
            need_nanousd=need,
        )
        return _refusal(request, month, "wallet", error)
    size = grant_size(need, request.queued_nanousd, request.want_nanousd, wallet.free_nanousd, month_free)
    if grant is None:
        grant = _new_grant(book, request)
    grant.revision = request.revision
    windows.hand_out(book, window, grant, plan, now_ms)
    _renew(book, grant, terms)
    if size > 0:
        _move(book, grant, "grant_opened" if request.revision == 1 else "grant_extended", size)
    return _reply(book, grant, window, terms)


def _check_changeable(grant: Grant, request: ChangeGrant) -> None:
    if grant.state in ("closing", "ended"):
        raise DomainError("grant_ended", "the grant is closed")
    same = (grant.account_id, grant.key_id, grant.boot_epoch) == (
        request.key.account_id,
        request.key.key_id,
        request.boot_epoch,
    )
    if not same:
        raise DomainError("invalid_request", "the grant belongs to another key or edge")
    if request.revision < grant.revision:
        raise DomainError("stale_revision", "a later change has been applied", revision=grant.revision)


def _refusal(request: ChangeGrant, month: str, shortage: Shortage, error: DomainError) -> Refusal:
    return Refusal(
        error=error,
        shortage=shortage,
        account_id=request.key.account_id,
        grant_id=request.grant_id,
        key_id=request.key.key_id,
        month=month,
    )


def _month_free(book: Book, window: KeyWindow, month: str) -> int | None:
    if window.monthly_limit_nanousd is None:
        return None
    used = book.key_month(window.key_id, month)
    return window.monthly_limit_nanousd - used.spent_nanousd - used.held_nanousd


def _quota_exceeded(window: KeyWindow, month_free: int, month: str) -> DomainError:
    return DomainError(
        "api_key_quota_exceeded",
        "the key's monthly limit is reached",
        limit_nanousd=window.monthly_limit_nanousd,
        remaining_nanousd=max(0, month_free),
        resets_at_ms=month_start_ms(month, 1),
    )


def _new_grant(book: Book, request: ChangeGrant) -> Grant:
    grant = Grant(
        grant_id=request.grant_id,
        account_id=request.key.account_id,
        key_id=request.key.key_id,
        edge_id=request.edge_id,
        boot_epoch=request.boot_epoch,
        month=book.month,
        opened_at_ms=book.booked_at_ms,
    )
    book.grants[grant.grant_id] = grant
    return grant


def _renew(book: Book, grant: Grant, terms: GrantTerms) -> None:
    """A sign of life of its edge: the hard expiry starts anew, a lost grant is found."""
    grant.expires_clock_ms = book.clock_ms + int(terms.hard_ttl_s * 1000)
    if grant.state == "lost":
        grant.state = "open" if grant.final_events is None else "closing"
        grant.lost_clock_ms = grant.lost_usage_seq = None
    book.changed_grants.add(grant.grant_id)


def _move(book: Book, grant: Grant, kind: str, amount_nanousd: int, cause: str = "") -> None:
    """Above 0: from the wallet to the grant; below: back."""
    outward = amount_nanousd > 0
    book.post(
        kind,
        grant.account_id,
        "available" if outward else "held",
        "held" if outward else "available",
        abs(amount_nanousd),
        source="grant",
        source_id=f"{grant.grant_id}:{cause or grant.revision}",
        grant_id=grant.grant_id,
        key_id=grant.key_id,
        month=grant.month,
    )


def _reply(book: Book, grant: Grant, window: KeyWindow, terms: GrantTerms) -> GrantReply:
    now_ms = book.booked_at_ms
    remaining_ms = max(0, window.started_ms + windows.WINDOW_MS - now_ms)
    return GrantReply(
        grant_id=grant.grant_id,
        revision=grant.revision,
        granted_nanousd=grant.granted_nanousd,
        soft_ttl_s=terms.soft_ttl_s,
        hard_ttl_s=terms.hard_ttl_s,
        available_nanousd=book.wallets[grant.account_id].available_nanousd,
        slices=windows.slices_granted(window, grant, now_ms),
        window=window.window,
        window_remaining_s=remaining_ms / 1000,
        limits_remaining=windows.limits_left(window, now_ms),
    )


def shrink_grant(book: Book, shrink: ShrinkGrant, terms: GrantTerms) -> bool:
    """Take back what the edge gives back. False where there was nothing to do: ended, or not its grant.

    What is given back is a total, so shrinks may come twice and in any order.
    """
    grant = book.grants.get(shrink.grant_id)
    if grant is None:
        return _remember_closed(book, shrink)
    if grant.account_id != shrink.account_id or grant.state == "ended":
        return False
    newly_back = min(shrink.given_back_nanousd - grant.back_nanousd, grant.held_nanousd)
    if newly_back > 0:
        grant.back_nanousd += newly_back
        _move(book, grant, "grant_shrunk", -newly_back, cause=f"back{grant.back_nanousd}")
    window = book.windows.get(grant.key_id)
    if window is not None:
        windows.take_back(book, window, grant, shrink, book.booked_at_ms)
    if shrink.final_events is not None:
        grant.final_events = shrink.final_events
        grant.state = "closing"
    _renew(book, grant, terms)
    end_if_complete(book, grant)
    return True


def _remember_closed(book: Book, shrink: ShrinkGrant) -> bool:
    """The edge gave up waiting for an opening that may still be on its way: it must find the grant ended."""
    if shrink.final_events is None:
        return False
    book.grants[shrink.grant_id] = Grant(
        grant_id=shrink.grant_id,
        account_id=shrink.account_id,
        key_id=shrink.key_id,
        edge_id="",
        boot_epoch="",
        month=book.month,
        state="ended",
        final_events=shrink.final_events,
        opened_at_ms=book.booked_at_ms,
    )
    book.changed_grants.add(shrink.grant_id)
    return True


def count_event(book: Book, grant: Grant) -> None:
    """One more of the grant's events is settled or quarantined."""
    grant.settled_events += 1
    book.changed_grants.add(grant.grant_id)
    end_if_complete(book, grant)


def end_if_complete(book: Book, grant: Grant) -> None:
    """A closed grant ends when all its events are known."""
    is_closed = grant.state in ("closing", "lost") and grant.final_events is not None
    if is_closed and grant.settled_events >= (grant.final_events or 0):
        end_grant(book, grant)


def end_grant(book: Book, grant: Grant) -> None:
    """The residue goes back to the wallet, slots to the key. Nothing to do for one that has ended."""
    if grant.state == "ended":
        return
    if grant.held_nanousd:
        _move(book, grant, "grant_ended", -grant.held_nanousd, cause="end")
    windows.free_slots(book, book.windows.get(grant.key_id), grant)
    grant.state = "ended"
    book.changed_grants.add(grant.grant_id)


def lose_grant(book: Book, grant: Grant, usage_last_seq: int) -> None:
    """Its edge was silent past the hard expiry: still held, until its events are known to be in."""
    grant.state = "lost"
    grant.lost_clock_ms = book.clock_ms
    grant.lost_usage_seq = usage_last_seq
    book.changed_grants.add(grant.grant_id)
    book.events.append(
        GrantLost(
            id=derived_event_id("grant_lost", grant.grant_id, str(book.clock_ms)),
            account_id=grant.account_id,
            grant_id=grant.grant_id,
            edge_id=grant.edge_id,
            boot_epoch=grant.boot_epoch,
            held_nanousd=grant.held_nanousd,
            booked_at_ms=book.booked_at_ms,
        )
    )
