"""Receipts, and the record of usage for whoever rebuilds a read model."""

from uuid import UUID

import msgspec

from tt_billing.usecases.context import Context
from tt_common.contracts.events import UsageEvent
from tt_common.contracts.wallets import ExportedUsage, ExportUsage, GetReceipt, Receipt, UsagePage
from tt_common.errors import DomainError
from tt_common.rating import receipt_lines

EXPORT_MAX = 1000
EXPORT_BYTES_MAX = 768 * 1024
"""A page fits one NATS message of the default size."""

_decoder = msgspec.json.Decoder(UsageEvent)


async def get_receipt(context: Context, request: GetReceipt) -> Receipt:
    """Raises receipt_not_found, also for a call of another account."""
    try:
        event_id = UUID(request.request_id)
    except ValueError:
        raise DomainError("receipt_not_found", "no such receipt") from None
    async with context.database.begin() as unit:
        row = await unit.read_booked(request.account_id, event_id)
        if row is None:
            raise DomainError("receipt_not_found", "no such receipt")
        price = await unit.find_version(row.price_version)
        event = _decoder.decode(row.event)
        entries = await unit.entries_of_source("usage", event.id)
    return Receipt(
        event=event,
        price=price,
        lines=tuple(receipt_lines(event.usage, price, event.service_tier)) if price is not None else (),
        cost_nanousd=row.cost_nanousd,
        charged_nanousd=row.charged_nanousd,
        entries=tuple(entries),
        booked_at_ms=row.booked_at_ms,
    )


async def export_usage(context: Context, request: ExportUsage) -> UsagePage:
    """A page in booking order, shorter than `limit` where it would not fit a message; `next_after` is None at the end."""
    limit = max(1, min(request.limit, EXPORT_MAX))
    rows = await context.database.read_usage(request.after, limit)
    events: list[ExportedUsage] = []
    size_bytes = 0
    for row in rows:
        size_bytes += len(row.event)
        if events and size_bytes > EXPORT_BYTES_MAX:
            break
        events.append(
            ExportedUsage(
                position=row.position,
                charged_nanousd=row.charged_nanousd,
                booked_at_ms=row.booked_at_ms,
                event=_decoder.decode(row.event),
            )
        )
    more = len(events) < len(rows) or len(rows) == limit
    return UsagePage(events=tuple(events), next_after=events[-1].position if more else None)
