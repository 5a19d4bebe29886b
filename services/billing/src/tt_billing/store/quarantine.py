"""Events that billing could not understand, kept as they came, for a person to look at."""

from typing import Final

import msgspec
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from tt_billing.domain.records import Poison, Quarantined
from tt_common.db.rows import run

_COLUMNS: Final = ", ".join(Quarantined.__struct_fields__)


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


async def list_quarantine(connection: AsyncConnection, limit: int) -> list[Quarantined]:
    """Those that wait, newest first."""
    result = await run(
        connection,
        f"SELECT {_COLUMNS} FROM quarantine WHERE settled_at_ms IS NULL ORDER BY id DESC LIMIT :limit",
        limit=limit,
    )
    return [_quarantined(row) for row in result.mappings()]


async def read_quarantined(connection: AsyncConnection, number: int) -> Quarantined | None:
    result = await run(connection, f"SELECT {_COLUMNS} FROM quarantine WHERE id = :id", id=number)
    row = result.mappings().first()
    return None if row is None else _quarantined(row)


async def mark_settled(connection: AsyncConnection, number: int, now_ms: int) -> None:
    await run(connection, "UPDATE quarantine SET settled_at_ms = :now WHERE id = :id", now=now_ms, id=number)


async def count_quarantined(connection: AsyncConnection) -> int:
    """Events that wait for a person."""
    return int((await run(connection, "SELECT count(*) FROM quarantine WHERE settled_at_ms IS NULL")).scalar_one())


def _quarantined(row: RowMapping) -> Quarantined:
    return Quarantined(**{**row, "payload": bytes(row["payload"])})
