"""Direct holds: placed once, ended once by capture, release or expiry.

Invariant: a capture is at most the hold; a hold ends exactly once, and asking for the same end again is answered with
its state.
"""

from tt_billing.domain.book import Book, Hold, HoldStatus
from tt_common.contracts.events import HoldEnded, HoldPlaced
from tt_common.contracts.wallets import CaptureHold, PlaceHold
from tt_common.errors import DomainError
from tt_common.ids import derived_event_id


def place_hold(book: Book, request: PlaceHold) -> Hold:
    """Take `amount_nanousd` out of what is free. Raises billing_shortfall, or idempotency_conflict for a reused id."""
    hold = book.holds.get(request.hold_id)
    if hold is not None:
        same = (hold.account_id, hold.key_id, hold.amount_nanousd, hold.ttl_s, hold.reason) == (
            request.account_id,
            request.key_id,
            request.amount_nanousd,
            request.ttl_s,
            request.reason,
        )
        if not same:
            raise DomainError("idempotency_conflict", "another hold has this id")
        return hold
    wallet = book.wallets[request.account_id]
    if request.amount_nanousd > wallet.free_nanousd:
        raise DomainError(
            "billing_shortfall",
            "the wallet does not cover the hold",
            available_nanousd=wallet.free_nanousd,
            need_nanousd=request.amount_nanousd,
        )
    hold = Hold(
        hold_id=request.hold_id,
        account_id=request.account_id,
        key_id=request.key_id,
        month=book.month,
        amount_nanousd=request.amount_nanousd,
        reason=request.reason,
        ttl_s=request.ttl_s,
        expires_clock_ms=book.clock_ms + request.ttl_s * 1000,
        placed_at_ms=book.booked_at_ms,
    )
    book.holds[hold.hold_id] = hold
    book.changed_holds.add(hold.hold_id)
    book.post(
        "hold_placed",
        hold.account_id,
        "available",
        "held",
        hold.amount_nanousd,
        source="hold",
        source_id=f"{hold.hold_id}:place",
        hold_id=hold.hold_id,
        key_id=hold.key_id,
        month=hold.month,
        details={"reason": hold.reason},
    )
    book.events.append(
        HoldPlaced(
            id=derived_event_id("hold_placed", hold.hold_id),
            account_id=hold.account_id,
            hold_id=hold.hold_id,
            amount_nanousd=hold.amount_nanousd,
            booked_at_ms=book.booked_at_ms,
        )
    )
    return hold


def capture_hold(book: Book, request: CaptureHold) -> Hold:
    """Charge a part of the hold and free the rest. Raises hold_not_found, hold_over_capture, hold_ended."""
    hold = _known(book, request.hold_id, request.account_id)
    if hold.state == "captured" and hold.captured_nanousd == request.amount_nanousd:
        return hold
    if hold.state != "open":
        raise DomainError("hold_ended", "the hold has ended", state=hold.state)
    if not 0 <= request.amount_nanousd <= hold.amount_nanousd:
        raise DomainError("hold_over_capture", "a capture is at most the hold", amount_nanousd=hold.amount_nanousd)
    _end(book, hold, "captured", request.amount_nanousd, request.price_version or None)
    return hold


def release_hold(book: Book, hold_id: str, account_id: str) -> Hold:
    """Free the hold. Raises hold_not_found, or hold_ended for a captured one."""
    hold = _known(book, hold_id, account_id)
    if hold.state in ("released", "expired"):
        return hold
    if hold.state == "captured":
        raise DomainError("hold_ended", "the hold has been captured", state=hold.state)
    _end(book, hold, "released", 0, None)
    return hold


def expire_hold(book: Book, hold: Hold) -> None:
    """Nobody ended it in time."""
    if hold.state == "open" and hold.expires_clock_ms <= book.clock_ms:
        _end(book, hold, "expired", 0, None)


def _known(book: Book, hold_id: str, account_id: str) -> Hold:
    hold = book.holds.get(hold_id)
    if hold is None or hold.account_id != account_id:
        raise DomainError("hold_not_found", "no such hold")
    return hold


def _end(book: Book, hold: Hold, state: HoldStatus, captured_nanousd: int, price_version: str | None) -> None:
    hold.state = state
    hold.captured_nanousd = captured_nanousd
    book.changed_holds.add(hold.hold_id)
    legs = ((0, "revenue", captured_nanousd), (1, "available", hold.amount_nanousd - captured_nanousd))
    for leg, bucket, amount in legs:
        if amount:
            book.post(
                f"hold_{state}",
                hold.account_id,
                "held",
                bucket,  # pyright: ignore[reportArgumentType]
                amount,
                source="hold",
                source_id=f"{hold.hold_id}:end",
                leg=leg,
                hold_id=hold.hold_id,
                key_id=hold.key_id,
                month=hold.month,
                price_version=price_version,
            )
    book.events.append(
        HoldEnded(
            id=derived_event_id("hold_ended", hold.hold_id),
            account_id=hold.account_id,
            hold_id=hold.hold_id,
            state=state,  # pyright: ignore[reportArgumentType]
            captured_nanousd=captured_nanousd,
            booked_at_ms=book.booked_at_ms,
        )
    )
