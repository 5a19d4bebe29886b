"""Webhook endpoints, the inbox of events, and the deliveries that an event makes."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from tt_common.db.rows import array
from tt_common.ids import new_id
from tt_console.domain.webhooks import Delivery, Endpoint, WebhookEvent
from tt_console.store.tables import webhook_deliveries, webhook_endpoints, webhook_inbox

SWEEP_MAX: Final = 5_000
DAY_MS: Final = 86_400_000
DELIVERIES_KEPT_DAYS: Final = 30
INBOX_KEPT_DAYS: Final = 120
"""Longer than the stream keeps an event."""

_ENTER_INBOX: Final = (
    "INSERT INTO webhook_inbox SELECT unnest(CAST(:ids AS uuid[])), :now ON CONFLICT DO NOTHING RETURNING event_id"
)


class WebhookStore:
    """Fulfils `usecases.ports.Webhooks` on the caller's transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, endpoint: Endpoint) -> None:
        await self._connection.execute(webhook_endpoints.insert().values(_values(endpoint)))

    async def save(self, endpoint: Endpoint) -> None:
        here = webhook_endpoints.c.id == endpoint.id
        await self._connection.execute(update(webhook_endpoints).where(here).values(_values(endpoint)))

    async def lock(self, endpoint_id: str) -> Endpoint | None:
        query = select(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id).with_for_update()
        row = (await self._connection.execute(query)).first()
        return _endpoint(row) if row else None

    async def count(self, account_id: str) -> int:
        query = select(func.count()).where(webhook_endpoints.c.account_id == account_id, _kept())
        return (await self._connection.execute(query)).scalar_one()

    async def enter(self, event_ids: Sequence[str], now_ms: int) -> set[str]:
        values = {"ids": array(sorted(set(event_ids))), "now": now_ms}
        return {str(event_id) for event_id in (await self._connection.execute(text(_ENTER_INBOX), values)).scalars()}

    async def active(self, account_ids: Sequence[str]) -> list[Endpoint]:
        query = select(webhook_endpoints).where(
            webhook_endpoints.c.account_id.in_(account_ids), webhook_endpoints.c.status == "active"
        )
        return [_endpoint(row) for row in await self._connection.execute(query)]

    async def add_delivery(self, endpoint: Endpoint, event: WebhookEvent, now_ms: int) -> Delivery:
        delivery = Delivery(
            id=new_id("whd"),
            endpoint_id=endpoint.id,
            account_id=endpoint.account_id,
            event_id=event.id,
            event_type=event.type,
            body=event.body,
            status="pending",
            tries=0,
            attempts=0,
            next_attempt_at_ms=now_ms,
            created_at_ms=now_ms,
            finished_at_ms=None,
        )
        values = {name: getattr(delivery, name) for name in Delivery.__struct_fields__}
        await self._connection.execute(webhook_deliveries.insert().values(values))
        return delivery

    async def give_up_pending(self, endpoint_id: str, now_ms: int) -> None:
        here = (webhook_deliveries.c.endpoint_id == endpoint_id) & (webhook_deliveries.c.status == "pending")
        values = {"status": "failed", "next_attempt_at_ms": None, "finished_at_ms": now_ms}
        await self._connection.execute(update(webhook_deliveries).where(here).values(values))

    async def sweep(self, now_ms: int) -> None:
        """Remove deliveries and inbox rows that are old enough, a bounded number."""
        old_ms = now_ms - DELIVERIES_KEPT_DAYS * DAY_MS
        done = select(webhook_deliveries.c.id).where(
            webhook_deliveries.c.status != "pending", webhook_deliveries.c.finished_at_ms < old_ms
        )
        await self._connection.execute(
            delete(webhook_deliveries).where(webhook_deliveries.c.id.in_(done.limit(SWEEP_MAX)))
        )
        entered = select(webhook_inbox.c.event_id).where(webhook_inbox.c.at_ms < now_ms - INBOX_KEPT_DAYS * DAY_MS)
        await self._connection.execute(
            delete(webhook_inbox).where(webhook_inbox.c.event_id.in_(entered.limit(SWEEP_MAX)))
        )


async def get_endpoint(connection: AsyncConnection, account_id: str, endpoint_id: str) -> Endpoint | None:
    """An endpoint of this account that is not deleted."""
    here = (webhook_endpoints.c.id == endpoint_id) & (webhook_endpoints.c.account_id == account_id)
    row = (await connection.execute(select(webhook_endpoints).where(here, _kept()))).first()
    return _endpoint(row) if row else None


async def list_endpoints(connection: AsyncConnection, account_id: str) -> list[Endpoint]:
    """The account's endpoints that are not deleted, newest first; they are few."""
    query = select(webhook_endpoints).where(webhook_endpoints.c.account_id == account_id, _kept())
    return [_endpoint(row) for row in await connection.execute(query.order_by(webhook_endpoints.c.id.desc()))]


def _kept() -> Any:
    return webhook_endpoints.c.status != "deleted"


def _values(endpoint: Endpoint) -> dict[str, Any]:
    values = {name: getattr(endpoint, name) for name in Endpoint.__struct_fields__}
    return values | {"events": list(endpoint.events)}


def _endpoint(row: Row[Any]) -> Endpoint:
    values: dict[str, Any] = {name: getattr(row, name) for name in Endpoint.__struct_fields__}
    values["events"] = tuple(row.events)
    return Endpoint(**values)
