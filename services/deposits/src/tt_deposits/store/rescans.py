"""Ranges of solid blocks that are to be read again, and how far each is."""

from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from tt_common.contracts.deposits import Rescan
from tt_common.db.rows import run

_COLUMNS: Final = "rescan_id, from_height, to_height, next_height, found, actor, reason, created_at_ms"


async def add_rescan(connection: AsyncConnection, rescan: Rescan) -> Rescan:
    """The one of that id: this one, or the one that is there already."""
    await run(
        connection,
        f"INSERT INTO rescans ({_COLUMNS})"
        " VALUES (:rescan_id, :from_height, :to_height, :next_height, 0, :actor, :reason, :created_at_ms)"
        " ON CONFLICT (rescan_id) DO NOTHING",
        rescan_id=rescan.rescan_id,
        from_height=rescan.from_height,
        to_height=rescan.to_height,
        next_height=rescan.next_height,
        actor=rescan.actor,
        reason=rescan.reason,
        created_at_ms=rescan.created_at_ms,
    )
    found = await run(connection, f"SELECT {_COLUMNS} FROM rescans WHERE rescan_id = :id", id=rescan.rescan_id)
    return _rescan(found.one())


async def next_rescan(connection: AsyncConnection) -> Rescan | None:
    """The oldest that is not done."""
    found = await run(
        connection,
        f"SELECT {_COLUMNS} FROM rescans WHERE next_height <= to_height ORDER BY created_at_ms, rescan_id LIMIT 1",
    )
    row = found.first()
    return None if row is None else _rescan(row)


async def move_rescan(connection: AsyncConnection, rescan_id: str, next_height: int, found: int) -> None:
    """So far, with `found` more transfers that were not known."""
    await run(
        connection,
        "UPDATE rescans SET next_height = :next_height, found = found + :found WHERE rescan_id = :id",
        id=rescan_id,
        next_height=next_height,
        found=found,
    )


async def list_rescans(connection: AsyncConnection, limit: int) -> list[Rescan]:
    """Newest first."""
    found = await run(
        connection,
        f"SELECT {_COLUMNS} FROM rescans ORDER BY created_at_ms DESC, rescan_id LIMIT :limit",
        limit=limit,
    )
    return [_rescan(row) for row in found]


def _rescan(row: Any) -> Rescan:
    return Rescan(**row._mapping, state="running" if row.next_height <= row.to_height else "done")
