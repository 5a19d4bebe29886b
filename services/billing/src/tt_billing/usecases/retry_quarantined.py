"""Settle an event out of quarantine, after whatever made it poison was fixed: usage is charged, a deposit is booked."""

import msgspec

from tt_billing.domain.records import Delivery, Quarantined
from tt_billing.usecases import book_deposits, settle_usage
from tt_billing.usecases.context import Context
from tt_billing.usecases.ports import Unit
from tt_common.contracts.streams import deposits_subject
from tt_common.errors import DomainError

DEPOSITS_PREFIX = deposits_subject("deposit_confirmed", "")


async def retry_quarantined(context: Context, number: int) -> str:
    """Returns the id of the event that was settled. Raises quarantine_not_found or still_poison; settled ones stay as they are."""
    async with context.database.begin() as unit:
        row = await unit.read_quarantined(number)
        if row is None:
            raise DomainError("quarantine_not_found", "no such event in quarantine")
        settle = _book_deposit if row.subject.startswith(DEPOSITS_PREFIX) else _settle_usage
        event_id = await settle(context, unit, row)
        await unit.mark_settled(number, context.now_ms())
    context.poke_outbox()
    return event_id


async def _settle_usage(context: Context, unit: Unit, row: Quarantined) -> str:
    readable, poison = settle_usage.sort_out([Delivery(row.subject, row.stream_sequence, row.payload)])
    if poison:
        raise _still_poison(poison[0].reason)
    # Its grant counted it when it was quarantined, if the sequence could be read then.
    items = [msgspec.structs.replace(item, counted=row.grant_id is not None) for item in readable]
    await settle_usage.settle_in(unit, context.now_ms(), items, [])
    return items[0].event.id


async def _book_deposit(context: Context, unit: Unit, row: Quarantined) -> str:
    asked, unreadable = book_deposits.sort_out([Delivery(row.subject, row.stream_sequence, row.payload)])
    if unreadable:
        raise _still_poison(unreadable[0].reason)
    _, done = await book_deposits.book_in(unit, context.deposits_network, context.now_ms(), asked)
    if refused := (*done.conflicting, *done.elsewhere):
        raise _still_poison(refused[0].reason)
    if done.early:
        raise _still_poison("the deposit is not in suspense yet")
    return asked[0].event.id


def _still_poison(reason: str) -> DomainError:
    return DomainError("still_poison", f"the event is still not understood: {reason}")
