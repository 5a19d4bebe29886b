"""Usage becomes a charge: from the grant's held money first, the rest from what is available, below zero if need be.

Invariant: an event is charged exactly what it cost, except nonsense, which is charged its hold at most and flagged.
Never clamps a late charge to what the wallet has: it is recorded and told.
"""

from typing import Final
from uuid import UUID

import msgspec

from tt_billing.domain.book import Book
from tt_billing.domain.grants import count_event
from tt_common.contracts.events import UsageEvent, WalletOverdrawn
from tt_common.ids import derived_event_id
from tt_common.rating import QUANTITY_MAX

COST_NANOUSD_MAX: Final = 10_000 * 1_000_000_000
"""Ten thousand dollars for one call is nonsense."""


def nonsense(event: UsageEvent) -> str | None:
    """Why an event can't be right, or None: negative counts or cost, or quantities beyond any model."""
    if event.cost_nanousd < 0:
        return "negative_cost"
    if event.cost_nanousd > COST_NANOUSD_MAX:
        return "cost_over_limit"
    counts: tuple[int, ...] = msgspec.structs.astuple(event.usage)
    if min(counts) < 0:
        return "negative_usage"
    return "usage_over_limit" if max(counts) > QUANTITY_MAX else None


def charge_of(event: UsageEvent) -> tuple[int, tuple[str, ...]]:
    """What to charge, nanoUSD, and billing's own flags."""
    flag = nonsense(event)
    if flag is None:
        return event.cost_nanousd, ()
    hold = min(max(0, event.hold_nanousd), COST_NANOUSD_MAX)
    return min(max(0, event.cost_nanousd), hold), (flag,)


def settle_event(
    book: Book, event: UsageEvent, *, transaction: UUID | None = None, counted: bool = False
) -> tuple[int, str]:
    """Charge one event that was never seen before; returns (nanoUSD charged, the key's month it counts in).

    `transaction` is the event's id, where the caller has it as one. `counted`: its grant has counted it already, while
    it was in quarantine.
    """
    charged, _ = charge_of(event)
    grant = book.grants.get(event.grant_id)
    if grant is not None and grant.account_id != event.account_id:
        grant = None
    month = book.month if grant is None else grant.month
    from_held = 0 if grant is None or grant.state == "ended" else min(charged, grant.held_nanousd)
    wallet = book.wallets[event.account_id]
    was_free = wallet.free_nanousd
    for leg, bucket, amount in ((0, "held", from_held), (1, "available", charged - from_held)):
        if amount:
            book.post(
                "usage",
                event.account_id,
                bucket,  # pyright: ignore[reportArgumentType]
                "revenue",
                amount,
                source="usage",
                source_id=event.id,
                transaction=transaction,
                leg=leg,
                grant_id=event.grant_id if grant is not None else None,
                key_id=event.key_id if grant is None else grant.key_id,
                month=month,
                price_version=event.price_version,
                details={"model": event.model},
                occurred_at_ms=event.finished_at_ms,
            )
    if was_free >= 0 > wallet.free_nanousd:
        book.events.append(
            WalletOverdrawn(
                id=derived_event_id("wallet_overdrawn", event.id),
                account_id=event.account_id,
                available_nanousd=wallet.available_nanousd,
                event_id=event.id,
                booked_at_ms=book.booked_at_ms,
            )
        )
    if grant is not None and not counted:
        count_event(book, grant)
    return charged, month
