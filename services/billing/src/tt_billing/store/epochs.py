"""Boot epochs of edges and how far each is settled.

Invariant: `watermark` is the highest sequence up to which every event is settled or quarantined, as computed from
those rows themselves; it never goes back. Settlement does not write here, so it never waits here.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from tt_billing.domain.records import Gap
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
