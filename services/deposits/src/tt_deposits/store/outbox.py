"""Events of the service as outbox rows of the same transaction."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncConnection

from tt_common.contracts import deposit_events as events
from tt_common.contracts.streams import addresses_subject, deposits_subject
from tt_common.db.outbox import OutboxMessage, enqueue, event_message, outbox_table
from tt_deposits.domain.records import HOUSE

OUTBOX: Final = outbox_table(MetaData())

_NAMES: Final[dict[type[msgspec.Struct], tuple[str, str]]] = {
    events.DepositDetected: ("deposit_detected", "detected_at_ms"),
    events.DepositConfirmed: ("deposit_confirmed", "confirmed_at_ms"),
    events.DepositBelowMinimum: ("deposit_below_minimum", "at_ms"),
    events.DepositHeld: ("deposit_held", "at_ms"),
    events.DepositCredited: ("deposit_credited", "credited_at_ms"),
    events.DepositOrphaned: ("deposit_orphaned", "at_ms"),
    events.OrderChanged: ("order_changed", "at_ms"),
    events.ScannerHalted: ("scanner_halted", "at_ms"),
    events.AddressAssigned: ("address_assigned", "assigned_at_ms"),
}
"""Its name on the wire, and the field with its time."""


def deposits_event(event: Any, *, said_again: bool = False) -> OutboxMessage:
    """An event struct of deposits as a message; what is nobody's belongs to the house."""
    name, time_field = _NAMES[type(event)]
    account_id: str = getattr(event, "account_id", HOUSE)
    subject = deposits_subject(name, account_id)
    if isinstance(event, events.AddressAssigned):
        subject = addresses_subject(event.index, account_id)
    return event_message(
        subject,
        f"deposits.{name}.v1",
        events.DEPOSITS_SOURCE,
        event.id,
        account_id,
        getattr(event, time_field),
        event,
        said_again=said_again,
    )


async def enqueue_events(connection: AsyncConnection, happened: Sequence[msgspec.Struct]) -> None:
    await enqueue(connection, OUTBOX, [deposits_event(event) for event in happened])


async def enqueue_again(connection: AsyncConnection, happened: Sequence[msgspec.Struct]) -> None:
    """The same events, `ce-id` and all, as new messages: the broker drops a message whose id it saw in the last two minutes."""
    await enqueue(connection, OUTBOX, [deposits_event(event, said_again=True) for event in happened])
