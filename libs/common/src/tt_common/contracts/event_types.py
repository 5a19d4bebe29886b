"""Every type of event on the wire: its literal name, its data, where it is published and by whom. Schemas and docs are made of this.

A type's name ends in its version. A field may be added with a default; anything else is a new type beside the old one.
"""

from typing import Final

import msgspec

from tt_common.contracts import deposit_events, events
from tt_common.contracts.streams import (
    ADDRESSES,
    BILLING,
    DEPOSITS,
    IDENTITY,
    USAGE,
    StreamSpec,
    addresses_subject,
    billing_subject,
    deposits_subject,
    identity_subject,
    usage_subject,
)


class EventType(msgspec.Struct, frozen=True, kw_only=True):
    """One type; `subject` has `{account_id}` where the account goes (`house` for events of no account), `{index}` for an address's."""

    name: str
    data: type[msgspec.Struct]
    stream: StreamSpec
    subject: str
    source: str


_ACCOUNT: Final = "{account_id}"


def _billing(name: str, data: type[msgspec.Struct]) -> EventType:
    return EventType(
        name=f"billing.{name}.v1",
        data=data,
        stream=BILLING,
        subject=billing_subject(name, _ACCOUNT),
        source=events.BILLING_SOURCE,
    )


def _identity(name: str, data: type[msgspec.Struct]) -> EventType:
    return EventType(
        name=f"identity.{name}.v1",
        data=data,
        stream=IDENTITY,
        subject=identity_subject(name, _ACCOUNT),
        source=events.CONSOLE_SOURCE,
    )


def _deposits(name: str, data: type[msgspec.Struct]) -> EventType:
    return EventType(
        name=f"deposits.{name}.v1",
        data=data,
        stream=DEPOSITS,
        subject=deposits_subject(name, _ACCOUNT),
        source=deposit_events.DEPOSITS_SOURCE,
    )


EVENT_TYPES: Final = (
    EventType(
        name=events.USAGE_V1,
        data=events.UsageEvent,
        stream=USAGE,
        subject=usage_subject(_ACCOUNT),
        source=events.EDGE_SOURCE,
    ),
    _billing("wallet_adjusted", events.WalletAdjusted),
    _billing("wallet_low", events.WalletLow),
    _billing("wallet_overdrawn", events.WalletOverdrawn),
    _billing("hold_placed", events.HoldPlaced),
    _billing("hold_ended", events.HoldEnded),
    _billing("grant_lost", events.GrantLost),
    _billing("price_published", events.PricePublished),
    _billing("deposit_booked", deposit_events.DepositBooked),
    _identity("account_created", events.AccountCreated),
    _identity("key_changed", events.KeyChanged),
    _deposits("deposit_detected", deposit_events.DepositDetected),
    _deposits("deposit_confirmed", deposit_events.DepositConfirmed),
    _deposits("deposit_below_minimum", deposit_events.DepositBelowMinimum),
    _deposits("deposit_held", deposit_events.DepositHeld),
    _deposits("deposit_credited", deposit_events.DepositCredited),
    _deposits("deposit_orphaned", deposit_events.DepositOrphaned),
    _deposits("order_changed", deposit_events.OrderChanged),
    _deposits("scanner_halted", deposit_events.ScannerHalted),
    EventType(
        name="deposits.address_assigned.v1",
        data=deposit_events.AddressAssigned,
        stream=ADDRESSES,
        subject=addresses_subject("{index}", _ACCOUNT),
        source=deposit_events.DEPOSITS_SOURCE,
    ),
)

EVENT_STREAMS: Final = (USAGE, BILLING, IDENTITY, DEPOSITS, ADDRESSES)
