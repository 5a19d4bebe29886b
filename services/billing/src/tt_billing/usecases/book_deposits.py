"""Book a batch of confirmed deposits in one transaction: what is new, an answer to what was booked before, quarantine for what can't be.

Invariant: an entry of a deposit moves money once. Everything that a batch says is committed together, with the stream's position; the
caller acknowledges afterwards. Who asks is answered each time, so that an answer that was lost does no harm.
"""

import hashlib
import logging
from collections.abc import Sequence

import msgspec

from tt_billing.domain.book import Book
from tt_billing.domain.deposits import (
    ConflictingDeposit,
    OtherNetwork,
    TooEarly,
    book_deposit,
    decode_deposit,
    source_id_of,
)
from tt_billing.domain.intake import PoisonEvent
from tt_billing.domain.records import Delivery, Poison
from tt_billing.usecases.context import Context
from tt_billing.usecases.ports import Unit
from tt_common.bus.consumer import StreamPosition
from tt_common.contracts.deposit_events import DepositConfirmed, Entry
from tt_common.contracts.wallets import BookedDepositPage, ListBookedDeposits

log = logging.getLogger(__name__)

LIST_MAX = 1000


class Asked(msgspec.Struct, frozen=True):
    """A delivery that asks for an entry."""

    delivery: Delivery
    event: DepositConfirmed


class Done(msgspec.Struct):
    """What became of a batch. `booked` are the entries that moved money, `early` the sequences that must come again later."""

    booked: list[Entry] = msgspec.field(default_factory=list[Entry])
    repeated: int = 0
    early: set[int] = msgspec.field(default_factory=set[int])
    unreadable: list[Poison] = msgspec.field(default_factory=list[Poison])
    conflicting: list[Poison] = msgspec.field(default_factory=list[Poison])
    elsewhere: list[Poison] = msgspec.field(default_factory=list[Poison])
    """On another network than the one that is booked."""

    @property
    def refused(self) -> set[int]:
        """The sequences that are in quarantine now."""
        return {item.stream_sequence for item in (*self.unreadable, *self.conflicting, *self.elsewhere)}


async def book_deposits(
    context: Context, deliveries: Sequence[Delivery], stream: str, created: str, not_below: int = 0
) -> Done:
    """Raises on any database error: nothing was booked. `not_below` as in settle_usage."""
    asked, unreadable = sort_out(deliveries)
    async with context.database.begin() as unit:
        book, done = await book_in(unit, context.deposits_network, context.now_ms(), asked, unreadable)
        position = StreamPosition(created, max(delivery.sequence for delivery in deliveries))
        await unit.save_position(stream, position, not_below)
        context.crash("before_deposit_commit")
    if book.events:
        context.poke_outbox()
    _tell(context, done)
    return done


def sort_out(deliveries: Sequence[Delivery]) -> tuple[list[Asked], list[Poison]]:
    """Events, and what is none."""
    asked: list[Asked] = []
    unreadable: list[Poison] = []
    for delivery in deliveries:
        try:
            asked.append(Asked(delivery, decode_deposit(delivery.payload)))
        except PoisonEvent as error:
            unreadable.append(_poison(delivery, str(error)))
    return asked, unreadable


async def book_in(
    unit: Unit, network: str, now_ms: int, asked: Sequence[Asked], unreadable: Sequence[Poison] = ()
) -> tuple[Book, Done]:
    """The body of the transaction, for the consumer and for retries from quarantine."""
    events = [item.event for item in asked]
    done = Done(unreadable=list(unreadable))
    book = await unit.load_book(now_ms, {event.account_id for event in events})
    known = await unit.known_deposits(sorted({name for e in events for name in (e.deposit_id, source_id_of(e))}))
    for item in asked:
        try:
            if book_deposit(book, item.event, known, network):
                done.booked.append(item.event.entry)
            else:
                done.repeated += 1
        except TooEarly:
            done.early.add(item.delivery.sequence)
        except OtherNetwork as error:
            done.elsewhere.append(_poison(item.delivery, str(error)))
        except ConflictingDeposit as error:
            done.conflicting.append(_poison(item.delivery, str(error)))
    for poison in sorted((*done.unreadable, *done.conflicting, *done.elsewhere), key=lambda item: item.payload_sha256):
        await unit.add_poison(poison, book.booked_at_ms)
    await unit.save_book(book)
    return book, done


async def list_booked_deposits(context: Context, request: ListBookedDeposits) -> BookedDepositPage:
    """A page in ledger order; `next_after` is None at the end."""
    limit = max(1, min(request.limit, LIST_MAX))
    rows = await context.database.read_deposits(request.after, limit)
    return BookedDepositPage(deposits=tuple(rows), next_after=rows[-1].seq if len(rows) == limit else None)


def _poison(delivery: Delivery, reason: str) -> Poison:
    return Poison(
        payload_sha256=hashlib.sha256(delivery.payload).digest(),
        subject=delivery.subject,
        stream_sequence=delivery.sequence,
        payload=delivery.payload,
        reason=reason,
    )


def _tell(context: Context, done: Done) -> None:
    metrics = context.metrics
    for entry in done.booked:
        metrics.deposits_booked.labels(entry).inc()
    metrics.deposits_repeated.inc(done.repeated)
    metrics.deposits_early.inc(len(done.early))
    for reason, items in (
        ("unreadable", done.unreadable),
        ("conflict", done.conflicting),
        ("network", done.elsewhere),
    ):
        metrics.deposits_refused.labels(reason).inc(len(items))
        for item in items:
            log.error("deposit quarantined", extra={"stream_sequence": item.stream_sequence, "reason": item.reason})
