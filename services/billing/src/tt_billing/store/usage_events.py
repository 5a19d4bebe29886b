"""The record of usage: one row an event, append-only, in booking order.

Positions are handed out before commits, so a reader could pass one that is not committed yet. Writers therefore hold a shared advisory lock from their
first position to their commit, and a reader takes it alone for a moment to learn how far everything is committed.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tt_billing.store.rows import columns, insert_sql, run

POSITIONS_LOCK: Final = 7_305_020

_EVENTS: Final = {
    "id": "uuid",
    "account_id": "text",
    "key_id": "text",
    "grant_id": "text",
    "edge_id": "text",
    "boot_epoch": "text",
    "edge_seq": "bigint",
    "model": "text",
    "outcome": "text",
    "month": "text",
    "cost_nanousd": "bigint",
    "charged_nanousd": "bigint",
    "price_version": "text",
    "flags": "text",
    "event": "bytea",
    "booked_at_ms": "bigint",
}
_TWINS: Final = {
    "boot_epoch": "text",
    "edge_seq": "bigint",
    "id": "uuid",
    "grant_id": "text",
    "cost_nanousd": "bigint",
    "booked_at_ms": "bigint",
}
_ADD_EVENTS: Final = insert_sql("usage_events", _EVENTS)
_ADD_TWINS: Final = insert_sql("epoch_twins", _TWINS)


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event to record; `event` is the payload as it was received, `flags` are billing's, joined by commas."""

    id: UUID
    account_id: str
    key_id: str
    grant_id: str
    edge_id: str
    boot_epoch: str
    edge_seq: int
    model: str
    outcome: str
    month: str
    cost_nanousd: int
    charged_nanousd: int
    price_version: str
    flags: str
    event: bytes
    booked_at_ms: int


class TwinRow(msgspec.Struct, frozen=True, kw_only=True):
    """A second event of an idempotent call: it counts for its epoch and grant, and charges nothing."""

    boot_epoch: str
    edge_seq: int
    id: UUID
    grant_id: str
    cost_nanousd: int
    booked_at_ms: int


async def known_ids(connection: AsyncConnection, ids: Sequence[UUID]) -> set[UUID]:
    result = await run(connection, "SELECT id FROM usage_events WHERE id = ANY(:ids)", ids=list(ids))
    return set(result.scalars())


async def settled_sequences(connection: AsyncConnection, sequences: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
    """Which (boot_epoch, edge_seq) are in the record, as events or twins; quarantined ones are not."""
    result = await run(
        connection,
        "SELECT boot_epoch, edge_seq FROM unnest(CAST(:epochs AS text[]), CAST(:seqs AS bigint[])) AS s (boot_epoch, edge_seq)"
        " WHERE EXISTS (SELECT 1 FROM usage_events u WHERE u.boot_epoch = s.boot_epoch AND u.edge_seq = s.edge_seq)"
        " OR EXISTS (SELECT 1 FROM epoch_twins t WHERE t.boot_epoch = s.boot_epoch AND t.edge_seq = s.edge_seq)",
        epochs=[epoch for epoch, _ in sequences],
        seqs=[seq for _, seq in sequences],
    )
    return {(row.boot_epoch, row.edge_seq) for row in result}


async def append_usage(connection: AsyncConnection, events: Sequence[UsageRow], twins: Sequence[TwinRow]) -> None:
    """Add rows; the caller has found them new under the wallets' locks."""
    if events:
        await run(connection, "SELECT pg_advisory_xact_lock_shared(:lock)", lock=POSITIONS_LOCK)
        await run(connection, _ADD_EVENTS, **columns(events, _EVENTS))
    if twins:
        await run(connection, _ADD_TWINS, **columns(twins, _TWINS))


async def read_usage(engine: AsyncEngine, after: int, limit: int) -> Sequence[RowMapping]:
    """Rows above position `after`, in order; never skips one that commits later."""
    async with engine.begin() as connection:
        await run(connection, "SELECT pg_advisory_xact_lock(:lock)", lock=POSITIONS_LOCK)
        settled_to = (await run(connection, "SELECT coalesce(max(position), 0) FROM usage_events")).scalar_one()
    async with engine.connect() as connection:
        result = await run(
            connection,
            "SELECT position, charged_nanousd, booked_at_ms, event FROM usage_events"
            " WHERE position > :after AND position <= :settled_to ORDER BY position LIMIT :limit",
            after=after,
            settled_to=settled_to,
            limit=limit,
        )
        return result.mappings().all()


async def read_receipt(connection: AsyncConnection, account_id: str, event_id: UUID) -> RowMapping | None:
    result = await run(
        connection,
        "SELECT event, cost_nanousd, charged_nanousd, price_version, booked_at_ms FROM usage_events"
        " WHERE id = :id AND account_id = :account_id",
        id=event_id,
        account_id=account_id,
    )
    return result.mappings().first()
