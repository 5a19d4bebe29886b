"""Webhook deliveries: claimed by one process at a time, recorded, listed.

A claim is a lease: it commits before the POST, and a process that dies leaves a delivery that is due again when the lease is over. So a
message may arrive twice, never not at all.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select, text, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from tt_common.db.rows import array
from tt_console.domain.webhooks import Attempt, Delivery
from tt_console.store.tables import webhook_attempts, webhook_deliveries

LEASE_MS: Final = 60_000
DUE_MAX: Final = 1_000
PER_ENDPOINT_MAX: Final = 4
"""Of one claim: a slow receiver holds up its own messages, not those of others."""

_CLAIM: Final = """
WITH due AS (
    SELECT d.id, d.endpoint_id, d.next_attempt_at_ms FROM webhook_deliveries d
    JOIN webhook_endpoints e ON e.id = d.endpoint_id AND e.status = 'active'
    WHERE d.status = 'pending' AND d.next_attempt_at_ms <= :now AND d.endpoint_id <> ALL(CAST(:busy AS text[]))
    ORDER BY d.next_attempt_at_ms LIMIT :due_max
), ranked AS (
    SELECT id, row_number() OVER (PARTITION BY endpoint_id ORDER BY next_attempt_at_ms, id) AS place,
        next_attempt_at_ms FROM due
), chosen AS (
    SELECT id FROM webhook_deliveries
    WHERE id IN (SELECT id FROM ranked WHERE place <= :per_endpoint ORDER BY next_attempt_at_ms LIMIT :limit)
        AND status = 'pending' AND next_attempt_at_ms <= :now
    FOR UPDATE SKIP LOCKED
)
UPDATE webhook_deliveries d SET next_attempt_at_ms = :lease_until FROM chosen WHERE d.id = chosen.id RETURNING d.*
"""


@dataclass(frozen=True, kw_only=True)
class DeliveryFilter:
    """What to show of one account."""

    account_id: str
    endpoint_id: str | None = None
    status: str | None = None
    event_type: str | None = None


class DeliveryStore:
    """Fulfils `usecases.ports.Deliveries` on the caller's transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def claim(self, limit: int, busy: Collection[str], now_ms: int) -> list[Delivery]:
        values = {
            "now": now_ms,
            "busy": array(busy),
            "due_max": DUE_MAX,
            "per_endpoint": PER_ENDPOINT_MAX,
            "limit": limit,
            "lease_until": now_ms + LEASE_MS,
        }
        return [_delivery(row) for row in await self._connection.execute(text(_CLAIM), values)]

    async def find(self, account_id: str, delivery_id: str) -> Delivery | None:
        return await get_delivery(self._connection, account_id, delivery_id)

    async def lock(self, delivery_id: str) -> Delivery | None:
        query = select(webhook_deliveries).where(webhook_deliveries.c.id == delivery_id).with_for_update()
        row = (await self._connection.execute(query)).first()
        return _delivery(row) if row else None

    async def save(self, delivery: Delivery) -> None:
        here = webhook_deliveries.c.id == delivery.id
        values = {
            name: getattr(delivery, name)
            for name in ("status", "tries", "attempts", "next_attempt_at_ms", "finished_at_ms")
        }
        await self._connection.execute(update(webhook_deliveries).where(here).values(values))

    async def add_attempt(self, delivery: Delivery, attempt: Attempt) -> None:
        await self._connection.execute(
            webhook_attempts.insert().values(
                delivery_id=delivery.id,
                number=delivery.attempts,
                at_ms=attempt.at_ms,
                duration_ms=attempt.duration_ms,
                status_code=attempt.status_code,
                error=attempt.error,
            )
        )


async def list_deliveries(
    connection: AsyncConnection, wanted: DeliveryFilter, limit: int, before: str | None
) -> list[Delivery]:
    """Newest first."""
    query = select(webhook_deliveries).where(webhook_deliveries.c.account_id == wanted.account_id)
    for name in ("endpoint_id", "status", "event_type"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(webhook_deliveries.c[name] == value)
    if before is not None:
        query = query.where(webhook_deliveries.c.id < before)
    query = query.order_by(webhook_deliveries.c.id.desc()).limit(limit)
    return [_delivery(row) for row in await connection.execute(query)]


async def get_delivery(connection: AsyncConnection, account_id: str, delivery_id: str) -> Delivery | None:
    """A delivery of this account."""
    here = (webhook_deliveries.c.id == delivery_id) & (webhook_deliveries.c.account_id == account_id)
    row = (await connection.execute(select(webhook_deliveries).where(here))).first()
    return _delivery(row) if row else None


async def attempts_of(connection: AsyncConnection, delivery_ids: Collection[str]) -> dict[str, list[Attempt]]:
    """The attempts of these deliveries, in order."""
    query = select(webhook_attempts).where(webhook_attempts.c.delivery_id.in_(delivery_ids))
    found: dict[str, list[Attempt]] = {}
    for row in await connection.execute(query.order_by(webhook_attempts.c.delivery_id, webhook_attempts.c.number)):
        attempt = Attempt(at_ms=row.at_ms, duration_ms=row.duration_ms, status_code=row.status_code, error=row.error)
        found.setdefault(row.delivery_id, []).append(attempt)
    return found


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(**{name: getattr(row, name) for name in Delivery.__struct_fields__})
