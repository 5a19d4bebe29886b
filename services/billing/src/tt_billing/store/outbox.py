"""Events of billing as outbox rows of the same transaction."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncConnection

from tt_billing.domain.deposits import HOUSE
from tt_common.contracts import events
from tt_common.contracts.deposit_events import DepositBooked
from tt_common.contracts.streams import billing_subject
from tt_common.db.outbox import OutboxMessage, enqueue, event_message, outbox_table

OUTBOX: Final = outbox_table(MetaData())

_NAMES: Final[dict[type[msgspec.Struct], str]] = {
    events.WalletAdjusted: "wallet_adjusted",
    events.WalletLow: "wallet_low",
    events.WalletOverdrawn: "wallet_overdrawn",
    events.HoldPlaced: "hold_placed",
    events.HoldEnded: "hold_ended",
    events.GrantLost: "grant_lost",
    events.PricePublished: "price_published",
    DepositBooked: "deposit_booked",
}


def billing_event(event: Any) -> OutboxMessage:
    """An event struct of billing as a message; those of prices belong to the house."""
    name = _NAMES[type(event)]
    account_id: str = getattr(event, "account_id", HOUSE)
    return event_message(
        billing_subject(name, account_id),
        f"billing.{name}.v1",
        events.BILLING_SOURCE,
        event.id,
        account_id,
        event.booked_at_ms,
        event,
        said_again=isinstance(event, DepositBooked),
    )


async def enqueue_events(connection: AsyncConnection, happened: Sequence[msgspec.Struct]) -> None:
    await enqueue(connection, OUTBOX, [billing_event(event) for event in happened])
