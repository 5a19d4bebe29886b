"""The record of usage: one row an event, append-only, in booking order.

Positions are handed out before commits, so a reader could pass one that is not committed yet. Writers therefore hold
a shared advisory lock from before their first position to their commit, and a reader takes it alone for a moment to learn
how far everything is committed.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tt_billing.domain.records import BookedUsage, TwinRow, UsageRow
from tt_common.db.rows import array, copy_rows, run, run_together

POSITIONS_LOCK: Final = 7_305_020
RECEIPTS_AT_ONCE: Final = 50
"""So few are read and rated between two turns of the event loop: whoever waits for a grant waits for each turn of its statements."""
RUN_GAP_MAX: Final = 8

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
_BOOKED: Final = "SELECT position, event, cost_nanousd, charged_nanousd, price_version, booked_at_ms FROM usage_events"

_LOCK_SHARED: Final = "SELECT pg_advisory_xact_lock_shared(:lock)"
_KNOWN: Final = "SELECT id FROM usage_events WHERE id = ANY(CAST(:ids AS uuid[]))"
# Each run is one walk of an index: OFFSET keeps the planner from joining with the whole table.
_SETTLED: Final = (
    "SELECT s.boot_epoch, s.edge_seq"
    " FROM unnest(CAST(:epochs AS text[]), CAST(:firsts AS bigint[]), CAST(:lasts AS bigint[])) AS r (epoch, first, last)"
    " CROSS JOIN LATERAL ("
    " (SELECT boot_epoch, edge_seq FROM usage_events WHERE boot_epoch = r.epoch AND edge_seq BETWEEN r.first AND r.last"
    " ORDER BY edge_seq OFFSET 0)"
    " UNION ALL"
    " (SELECT boot_epoch, edge_seq FROM epoch_twins WHERE boot_epoch = r.epoch AND edge_seq BETWEEN r.first AND r.last"
    " ORDER BY edge_seq OFFSET 0)"
    " ) AS s"
)


async def recorded(
    connection: AsyncConnection, ids: Sequence[str], sequences: Sequence[tuple[str, int]]
) -> tuple[set[UUID], set[tuple[str, int]]]:
    """Which ids and which (boot_epoch, edge_seq) are in the record, as events or twins; quarantined ones are not.

    May name neighbours of the sequences too. Takes the writers' lock, because the caller adds what is not there.
    """
    runs = runs_of(sequences)
    of_runs = {
        "epochs": array(epoch for epoch, _, _ in runs),
        "firsts": array(first for _, first, _ in runs),
        "lasts": array(last for _, _, last in runs),
    }
    _, known, settled = await run_together(
        connection, (_LOCK_SHARED, {"lock": POSITIONS_LOCK}), (_KNOWN, {"ids": array(ids)}), (_SETTLED, of_runs)
    )
    return {row["id"] for row in known}, {(row["boot_epoch"], row["edge_seq"]) for row in settled}


def runs_of(sequences: Iterable[tuple[str, int]]) -> list[tuple[str, int, int]]:
    """(epoch, first, last) ranges that cover the sequences and little else: a batch has few runs, so few index probes."""
    runs: list[tuple[str, int, int]] = []
    for epoch, seq in sorted(sequences):
        if runs and runs[-1][0] == epoch and seq - runs[-1][2] <= RUN_GAP_MAX:
            runs[-1] = (epoch, runs[-1][1], seq)
        else:
            runs.append((epoch, seq, seq))
    return runs


async def append_usage(connection: AsyncConnection, events: Sequence[UsageRow], twins: Sequence[TwinRow]) -> None:
    """Add rows that `recorded` has not found, under the wallets' locks."""
    if events:
        await copy_rows(connection, "usage_events", _EVENTS, events)
    if twins:
        await copy_rows(connection, "epoch_twins", _TWINS, twins)


async def read_usage(engine: AsyncEngine, after: int, limit: int) -> list[BookedUsage]:
    """Rows above position `after`, in order; never skips one that commits later."""
    async with engine.begin() as connection:
        await run(connection, "SELECT pg_advisory_xact_lock(:lock)", lock=POSITIONS_LOCK)
        settled_to = (await run(connection, "SELECT coalesce(max(position), 0) FROM usage_events")).scalar_one()
    async with engine.connect() as connection:
        result = await run(
            connection,
            f"{_BOOKED} WHERE position > :after AND position <= :settled_to ORDER BY position LIMIT :limit",
            after=after,
            settled_to=settled_to,
            limit=limit,
        )
        return [_booked(row) for row in result.mappings()]


async def read_booked(connection: AsyncConnection, account_id: str, event_id: UUID) -> BookedUsage | None:
    """One event of one account."""
    result = await run(
        connection, f"{_BOOKED} WHERE id = :id AND account_id = :account_id", id=event_id, account_id=account_id
    )
    row = result.mappings().first()
    return None if row is None else _booked(row)


async def stream_unflagged(connection: AsyncConnection, after: int) -> AsyncIterator[list[BookedUsage]]:
    """Events above a position that were charged as they came, in order, RECEIPTS_AT_ONCE at a time."""
    result = await connection.stream(
        text(f"{_BOOKED} WHERE position > :after AND flags = '' ORDER BY position"),
        {"after": after},
        execution_options={"yield_per": RECEIPTS_AT_ONCE},
    )
    async for rows in result.mappings().partitions(RECEIPTS_AT_ONCE):
        yield [_booked(row) for row in rows]


def _booked(row: RowMapping) -> BookedUsage:
    return BookedUsage(**{**row, "event": bytes(row["event"])})
