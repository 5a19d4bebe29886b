"""Events of the service as outbox rows of the same transaction."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncConnection

from tt_common.contracts import deposit_events as events
from tt_common.contracts.streams import deposits_subject
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
}
"""Its name on the wire, and the field with its time."""


def deposits_event(event: Any) -> OutboxMessage:
    """An event struct of deposits as a message; what is nobody's belongs to the house."""
    name, time_field = _NAMES[type(event)]
    account_id: str = getattr(event, "account_id", HOUSE)
    return event_message(
        deposits_subject(name, account_id),
        f"deposits.{name}.v1",
        events.DEPOSITS_SOURCE,
        event.id,
        account_id,
        getattr(event, time_field),
        event,
    )


MESSAGE_ID: Final = "Nats-Msg-Id"


async def enqueue_events(connection: AsyncConnection, happened: Sequence[msgspec.Struct]) -> None:
    await enqueue(connection, OUTBOX, [deposits_event(event) for event in happened])


async def enqueue_again(connection: AsyncConnection, happened: Sequence[msgspec.Struct], message_mark: str) -> None:
    """The same events, `ce-id` and all, as other messages: the broker drops a message id that it saw in the last two minutes."""
    messages = [deposits_event(event) for event in happened]
    marked = [
        msgspec.structs.replace(m, headers=m.headers | {MESSAGE_ID: f"{m.headers[MESSAGE_ID]}@{message_mark}"})
        for m in messages
    ]
    await enqueue(connection, OUTBOX, marked)
