"""Settle a batch of usage events in one transaction: charge what is new, count twins, quarantine poison.

Invariant: an event id is charged once; a (boot epoch, sequence) is recorded once. Everything that a batch says is
committed together, with the stream's position; the caller acknowledges afterwards. Debits commute, so the order and
the number of consumers don't matter.
"""

import hashlib
import logging
from collections.abc import Sequence
from uuid import UUID

import msgspec

from tt_billing.domain.book import Book
from tt_billing.domain.grants import count_event
from tt_billing.domain.intake import PoisonEvent, decode_usage, traces_of
from tt_billing.domain.records import Delivery, Poison, TwinRow, UsageRow
from tt_billing.domain.settlement import charge_of, settle_event
from tt_billing.usecases.context import Context
from tt_billing.usecases.ports import Unit
from tt_common.bus.consumer import StreamPosition
from tt_common.contracts.events import UsageEvent, WalletOverdrawn

log = logging.getLogger(__name__)


class Readable(msgspec.Struct, frozen=True):
    """A delivery that is an event; `counted` when its grant counted it while it was in quarantine."""

    id: UUID
    event: UsageEvent
    payload: bytes
    counted: bool = False


async def settle_usage(
    context: Context, deliveries: Sequence[Delivery], stream: str, created: str, not_below: int = 0
) -> set[int]:
    """Returns the sequences of poison messages, now in quarantine. Raises on any database error: nothing was settled.

    `not_below` is the highest position that this process has committed; DatabaseWentBack where the database has a lower one.
    """
    readable, poison = sort_out(deliveries)
    async with context.database.begin() as unit:
        book = await settle_in(unit, context.now_ms(), readable, poison)
        position = StreamPosition(created, max(delivery.sequence for delivery in deliveries))
        await unit.save_position(stream, position, not_below)
        context.crash("before_commit")
    if book.events:
        context.poke_outbox()
    _warn(context, book, poison)
    return {item.stream_sequence for item in poison}


def sort_out(deliveries: Sequence[Delivery]) -> tuple[list[Readable], list[Poison]]:
    """Events, and what is none."""
    readable: list[Readable] = []
    poison: list[Poison] = []
    for delivery in deliveries:
        try:
            event = decode_usage(delivery.payload)
            readable.append(Readable(UUID(event.id), event, delivery.payload))
        except PoisonEvent as error:
            traces = traces_of(delivery.payload)
            poison.append(
                Poison(
                    payload_sha256=hashlib.sha256(delivery.payload).digest(),
                    subject=delivery.subject,
                    stream_sequence=delivery.sequence,
                    payload=delivery.payload,
                    reason=str(error),
                    boot_epoch=traces.boot_epoch,
                    edge_seq=traces.edge_seq,
                    grant_id=traces.grant_id,
                )
            )
    return readable, poison


async def settle_in(unit: Unit, now_ms: int, readable: Sequence[Readable], poison: Sequence[Poison]) -> Book:
    """The body of the transaction, for the consumer and for retries from quarantine."""
    grant_ids = {item.event.grant_id for item in readable}
    accounts = {item.event.account_id for item in readable}
    poisoned_grants = {item.grant_id for item in poison if item.grant_id is not None}
    if poisoned_grants:
        accounts.update((await unit.grant_accounts(sorted(poisoned_grants))).values())
    book = await unit.load_book(
        now_ms,
        accounts,
        grant_ids=grant_ids | poisoned_grants,
        key_ids={item.event.key_id for item in readable},
    )
    sequences = [(item.event.boot_epoch, item.event.edge_seq) for item in readable]
    sequences += [(p.boot_epoch, p.edge_seq) for p in poison if p.boot_epoch is not None and p.edge_seq is not None]
    ids, settled = await unit.recorded([item.event.id for item in readable], sequences)
    await _quarantine(unit, book, poison, settled)
    events, twins = settle_new(book, readable, ids, settled)
    await unit.append_usage(events, twins)
    await unit.save_book(book)
    return book


def settle_new(
    book: Book, readable: Sequence[Readable], ids: set[UUID], settled: set[tuple[str, int]]
) -> tuple[list[UsageRow], list[TwinRow]]:
    """Charge what is neither in the record nor twice in this batch; `ids` and `settled` are what the record has."""
    events: list[UsageRow] = []
    twins: list[TwinRow] = []
    for item in readable:
        event, event_id = item.event, item.id
        sequence = (event.boot_epoch, event.edge_seq)
        if sequence in settled:
            continue
        settled.add(sequence)
        if event_id in ids:
            twins.append(_twin(book, item))
            continue
        ids.add(event_id)
        charged, month = settle_event(book, event, transaction=event_id, counted=item.counted)
        events.append(
            UsageRow(
                id=event_id,
                account_id=event.account_id,
                key_id=event.key_id,
                grant_id=event.grant_id,
                edge_id=event.edge_id,
                boot_epoch=event.boot_epoch,
                edge_seq=event.edge_seq,
                model=event.model,
                outcome=event.outcome,
                month=month,
                cost_nanousd=event.cost_nanousd,
                charged_nanousd=charged,
                price_version=event.price_version,
                flags=",".join(charge_of(event)[1]),
                event=item.payload,
                booked_at_ms=book.booked_at_ms,
            )
        )
    return events, twins


def _twin(book: Book, item: Readable) -> TwinRow:
    event = item.event
    grant = book.grants.get(event.grant_id)
    if grant is not None and grant.account_id == event.account_id and not item.counted:
        count_event(book, grant)
    return TwinRow(
        boot_epoch=event.boot_epoch,
        edge_seq=event.edge_seq,
        id=item.id,
        grant_id=event.grant_id,
        cost_nanousd=event.cost_nanousd,
        booked_at_ms=book.booked_at_ms,
    )


async def _quarantine(unit: Unit, book: Book, poison: Sequence[Poison], settled: set[tuple[str, int]]) -> None:
    for item in sorted(poison, key=lambda item: item.payload_sha256):
        added = await unit.add_poison(item, book.booked_at_ms)
        grant = book.grants.get(item.grant_id) if item.grant_id is not None else None
        if added and grant is not None and (item.boot_epoch, item.edge_seq) not in settled:
            count_event(book, grant)


def _warn(context: Context, book: Book, poison: Sequence[Poison]) -> None:
    for item in poison:
        log.error("event quarantined", extra={"stream_sequence": item.stream_sequence, "reason": item.reason})
    for event in book.events:
        if isinstance(event, WalletOverdrawn):
            context.metrics.overdrawn.inc()
            log.warning(
                "wallet overdrawn",
                extra={"account_id": event.account_id, "available_nanousd": event.available_nanousd},
            )
