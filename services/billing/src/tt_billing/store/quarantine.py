"""Events that billing could not understand, kept as they came, for a person to look at."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from tt_billing.store.rows import run


class Poison(msgspec.Struct, frozen=True, kw_only=True):
    """One event in quarantine; epoch, sequence and grant where they could be read."""

    payload_sha256: bytes
    subject: str
    stream_sequence: int
    payload: bytes
    reason: str
    boot_epoch: str | None
    edge_seq: int | None
    grant_id: str | None


async def add_poison(connection: AsyncConnection, poison: Poison, now_ms: int) -> bool:
    """False where the same payload is there already."""
    result = await run(
        connection,
        "INSERT INTO quarantine (payload_sha256, subject, stream_sequence, payload, reason, boot_epoch, edge_seq, grant_id,"
        " quarantined_at_ms) VALUES (:payload_sha256, :subject, :stream_sequence, :payload, :reason, :boot_epoch, :edge_seq,"
        " :grant_id, :now) ON CONFLICT (payload_sha256) DO NOTHING RETURNING id",
        now=now_ms,
        **msgspec.structs.asdict(poison),
    )
    return result.first() is not None


async def list_quarantine(connection: AsyncConnection, limit: int) -> Sequence[RowMapping]:
    """Those that wait, newest first, without their payloads."""
    return await _rows(
        connection,
        "SELECT id, subject, reason, boot_epoch, edge_seq, grant_id, quarantined_at_ms FROM quarantine"
        " WHERE settled_at_ms IS NULL ORDER BY id DESC LIMIT :limit",
        limit=limit,
    )


async def read_quarantined(connection: AsyncConnection, number: int) -> RowMapping | None:
    rows = await _rows(connection, "SELECT * FROM quarantine WHERE id = :id", id=number)
    return rows[0] if rows else None


async def mark_settled(connection: AsyncConnection, number: int, now_ms: int) -> None:
    await run(connection, "UPDATE quarantine SET settled_at_ms = :now WHERE id = :id", now=now_ms, id=number)


async def _rows(connection: AsyncConnection, sql: str, **parameters: Any) -> Sequence[RowMapping]:
    return (await run(connection, sql, **parameters)).mappings().all()
