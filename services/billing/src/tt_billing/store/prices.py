"""The price book: versions, and one row a model that its writers lock."""

import json
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from tt_billing.store.outbox import OUTBOX
from tt_common.contracts.records import PriceRecord, price_key
from tt_common.contracts.streams import CATALOG
from tt_common.db.outbox import OutboxMessage, enqueue
from tt_common.db.rows import run
from tt_common.rating import Price


async def lock_model(connection: AsyncConnection, model: str) -> int:
    """The record's revision, 0 for a new model; others wait until the end of the transaction."""
    await run(connection, "INSERT INTO price_records VALUES (:model, 0) ON CONFLICT DO NOTHING", model=model)
    result = await run(connection, "SELECT revision FROM price_records WHERE model = :model FOR UPDATE", model=model)
    return int(result.scalar_one())


async def save_revision(connection: AsyncConnection, model: str, revision: int) -> None:
    await run(
        connection, "UPDATE price_records SET revision = :revision WHERE model = :model", model=model, revision=revision
    )


async def priced_models(connection: AsyncConnection) -> list[str]:
    result = await run(connection, "SELECT model FROM price_records WHERE revision > 0 ORDER BY model")
    return list(result.scalars())


async def versions_of(connection: AsyncConnection, model: str | None) -> tuple[Price, ...]:
    """Of one model, oldest first, or of all."""
    where, parameters = ("", {}) if model is None else (" WHERE model = :model", {"model": model})
    result = await run(connection, f"SELECT price FROM prices{where} ORDER BY model, number", **parameters)
    return tuple(_price(row) for row in result.scalars())


async def find_version(connection: AsyncConnection, version: str) -> Price | None:
    result = await run(connection, "SELECT price FROM prices WHERE version = :version", version=version)
    row = result.scalar_one_or_none()
    return None if row is None else _price(row)


async def add_version(connection: AsyncConnection, price: Price, actor: str) -> None:
    await run(
        connection,
        "INSERT INTO prices VALUES (:version, :model, :number, CAST(:price AS jsonb), :actor, :starts_at_ms, :created_at_ms)",
        version=price.version,
        model=price.model,
        number=price.number,
        price=json.dumps(msgspec.to_builtins(price)),
        actor=actor,
        starts_at_ms=price.starts_at_ms,
        created_at_ms=price.created_at_ms,
    )


async def push_record(connection: AsyncConnection, record: PriceRecord) -> None:
    """Tell the edges, through the outbox, as a put into their bucket."""
    message = OutboxMessage(CATALOG.subject(price_key(record.model)), msgspec.json.encode(record), {})
    await enqueue(connection, OUTBOX, [message])


def _price(row: Any) -> Price:
    return msgspec.convert(row, Price)
