"""Settle an event out of quarantine, after whatever made it poison was fixed."""

import msgspec

from tt_billing.usecases.context import Context
from tt_billing.usecases.settle_usage import Delivery, settle_in, sort_out
from tt_common.errors import DomainError


async def retry_quarantined(context: Context, number: int) -> str:
    """Returns the id of the event that was settled. Raises quarantine_not_found or still_poison; settled ones stay as they are."""
    async with context.database.begin() as unit:
        row = await unit.read_quarantined(number)
        if row is None:
            raise DomainError("quarantine_not_found", "no such event in quarantine")
        readable, poison = sort_out([Delivery(row.subject, row.stream_sequence, row.payload)])
        if poison:
            raise DomainError("still_poison", f"the event is still not understood: {poison[0].reason}")
        # Its grant counted it when it was quarantined, if the sequence could be read then.
        items = [msgspec.structs.replace(item, counted=row.grant_id is not None) for item in readable]
        await settle_in(unit, context.now_ms(), items, [])
        await unit.mark_settled(number, context.now_ms())
    context.poke_outbox()
    return items[0].event.id
