"""Boot epochs of edges and how far each is settled.

Invariant: `watermark` is the highest sequence up to which every event is settled or quarantined, as computed from
those rows themselves, or by a person's word (`write_off`); it never goes back. Settlement does not write here, so it never waits here.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from tt_billing.domain.records import Gap, MissingEvents
from tt_common.db.rows import run

WALK_MAX: Final = 50_000
"""Sequences looked at in one advance; a longer backlog takes several."""

_SEEN: Final = (
    "INSERT INTO edge_epochs AS e (boot_epoch, edge_id, last_seq, seen_at_ms) VALUES (:boot_epoch, :edge_id, :last_seq, :now)"
    " ON CONFLICT (boot_epoch) DO UPDATE SET last_seq = GREATEST(e.last_seq, excluded.last_seq), seen_at_ms = excluded.seen_at_ms"
    " WHERE e.last_seq < excluded.last_seq"
)
_CLOSE: Final = (
    "INSERT INTO edge_epochs AS e (boot_epoch, edge_id, last_seq, cost_nanousd, closed, seen_at_ms)"
    " VALUES (:boot_epoch, :edge_id, :last_seq, :cost, true, :now) ON CONFLICT (boot_epoch) DO UPDATE SET"
    " last_seq = GREATEST(e.last_seq, excluded.last_seq), cost_nanousd = GREATEST(e.cost_nanousd, excluded.cost_nanousd),"
    " closed = true, seen_at_ms = excluded.seen_at_ms"
)
# The sequences above the watermark, numbered in order: the last whose number fits its distance ends the contiguous run.
_ADVANCE: Final = (
    "WITH run AS (SELECT max(edge_seq) AS top FROM (SELECT edge_seq, row_number() OVER (ORDER BY edge_seq) AS number"
    " FROM (SELECT k.edge_seq FROM known_sequences k WHERE k.boot_epoch = :boot_epoch"
    " AND k.edge_seq > CAST(:watermark AS bigint) AND k.edge_seq <= CAST(:watermark AS bigint) + :walk_max) AS above)"
    " AS numbered"
    " WHERE edge_seq = CAST(:watermark AS bigint) + number)"
    " UPDATE edge_epochs e SET watermark = GREATEST(e.watermark, run.top) FROM run"
    " WHERE e.boot_epoch = :boot_epoch AND run.top > e.watermark RETURNING e.watermark"
)

# Up to the next event that is known, or to the last that its edge has told of.
_MISSING: Final = (
    "SELECT e.boot_epoch, e.edge_id, e.watermark + 1 AS first_seq, coalesce(above.seq - 1, e.last_seq) AS last_seq"
    " FROM edge_epochs e CROSS JOIN LATERAL ("
    " SELECT min(k.edge_seq) AS seq FROM known_sequences k WHERE k.boot_epoch = e.boot_epoch AND k.edge_seq > e.watermark"
    ") above WHERE (above.seq > e.watermark + 1 AND EXISTS ("
    " SELECT 1 FROM usage_events u WHERE u.boot_epoch = e.boot_epoch AND u.edge_seq > e.watermark AND u.booked_at_ms < :before))"
    " OR (above.seq IS NULL AND e.watermark < e.last_seq AND e.seen_at_ms < :before)"
    " ORDER BY e.edge_id, e.boot_epoch LIMIT 1000"
)


async def note_epoch(connection: AsyncConnection, boot_epoch: str, edge_id: str, last_seq: int, now_ms: int) -> None:
    """Remember that the epoch exists and how many events it has made; writes only what is new."""
    await run(connection, _SEEN, boot_epoch=boot_epoch, edge_id=edge_id, last_seq=last_seq, now=now_ms)


async def close_epoch(
    connection: AsyncConnection, boot_epoch: str, edge_id: str, last_seq: int, cost_nanousd: int, now_ms: int
) -> None:
    """The epoch makes no more events. Idempotent."""
    await run(
        connection, _CLOSE, boot_epoch=boot_epoch, edge_id=edge_id, last_seq=last_seq, cost=cost_nanousd, now=now_ms
    )


async def advance_watermark(connection: AsyncConnection, boot_epoch: str) -> int:
    """Bring the watermark up to what is settled and return it; 0 for an unknown epoch."""
    row = (
        await run(connection, "SELECT watermark FROM edge_epochs WHERE boot_epoch = :boot_epoch", boot_epoch=boot_epoch)
    ).first()
    if row is None:
        return 0
    watermark: int = row.watermark
    while True:
        top = (
            await run(connection, _ADVANCE, boot_epoch=boot_epoch, watermark=watermark, walk_max=WALK_MAX)
        ).scalar_one_or_none()
        if top is None:
            return watermark
        if top < watermark + WALK_MAX:
            return top
        watermark = top


async def closed_unsettled_epochs(connection: AsyncConnection) -> Sequence[str]:
    result = await run(
        connection, "SELECT boot_epoch FROM edge_epochs WHERE closed AND watermark < last_seq LIMIT 1000"
    )
    return list(result.scalars())


async def gaps(connection: AsyncConnection) -> list[Gap]:
    """Epochs where an event beyond the watermark is settled, so that one before it is missing."""
    result = await run(
        connection,
        "SELECT e.boot_epoch, e.edge_id, e.watermark FROM edge_epochs e WHERE e.watermark < e.last_seq AND EXISTS"
        " (SELECT 1 FROM usage_events u WHERE u.boot_epoch = e.boot_epoch AND u.edge_seq > e.watermark) LIMIT 1000",
    )
    return [Gap(row.boot_epoch, row.edge_id, row.watermark) for row in result]


async def epochs_behind(connection: AsyncConnection) -> list[str]:
    """Epochs with settled events above the watermark: it is only brought up when somebody asks."""
    result = await run(
        connection,
        "SELECT e.boot_epoch FROM edge_epochs e WHERE EXISTS"
        " (SELECT 1 FROM usage_events u WHERE u.boot_epoch = e.boot_epoch AND u.edge_seq > e.watermark) ORDER BY 1",
    )
    return list(result.scalars())


async def missing_events(connection: AsyncConnection, settled_before_ms: int) -> list[MissingEvents]:
    """The first gap of each epoch behind which something was settled (or told of) before that time."""
    result = await run(connection, _MISSING, before=settled_before_ms)
    return [MissingEvents(row.boot_epoch, row.edge_id, row.first_seq, row.last_seq) for row in result]


async def write_off(connection: AsyncConnection, missing: MissingEvents, now_ms: int) -> None:
    """Record that nobody waits for them, and let the watermark pass."""
    values = {
        "boot_epoch": missing.boot_epoch,
        "edge_id": missing.edge_id,
        "first": missing.first_seq,
        "last": missing.last_seq,
    }
    await run(
        connection, "INSERT INTO written_off VALUES (:boot_epoch, :edge_id, :first, :last, :now)", now=now_ms, **values
    )
    await run(
        connection,
        "UPDATE edge_epochs SET watermark = GREATEST(watermark, :last), last_seq = GREATEST(last_seq, :last)"
        " WHERE boot_epoch = :boot_epoch",
        boot_epoch=missing.boot_epoch,
        last=missing.last_seq,
    )
