"""Take a batch of events: a delivery for every active endpoint that wants one. Repeats change nothing."""

from collections.abc import Sequence

from tt_common.bus.consumer import StreamPosition
from tt_console.domain.webhooks import WebhookEvent
from tt_console.usecases.ports import Database


async def take_webhook_events(
    database: Database, stream: str, events: Sequence[WebhookEvent], position: StreamPosition, now_ms: int
) -> int:
    """Inbox, deliveries and the position in one transaction; returns how many deliveries were made."""
    made = 0
    async with database.transaction() as unit:
        new = await unit.webhooks.enter([event.id for event in events], now_ms) if events else set[str]()
        fresh = {event.id: event for event in events if event.id in new}
        endpoints = await unit.webhooks.active(sorted({event.account_id for event in fresh.values()})) if fresh else []
        for event in fresh.values():
            for endpoint in endpoints:
                if endpoint.account_id == event.account_id and event.type in endpoint.events:
                    await unit.webhooks.add_delivery(endpoint, event, now_ms)
                    made += 1
        await unit.positions.remember(stream, position)
    return made
