"""Events of the deposits service, and what billing says of a deposit: the data part of CloudEvents, one struct a type.

USDT is integer micro-USDT (10^-6); one of them is 1,000 nanoUSD. Only `DepositConfirmed` moves money, and only solidified blocks make one.
"""

from typing import Final, Literal

import msgspec

DEPOSITS_SOURCE: Final = "/tokentally/deposits"
NANOUSD_PER_MICRO_USDT: Final = 1_000

Entry = Literal["credit", "suspend", "assign"]
"""What billing books. credit: receipts to the account's wallet. suspend: receipts to the house's suspense, for money that is nobody's yet.
assign: from suspense to the account's wallet."""

HeldReason = Literal["above_limit", "amount_overflow", "blacklisted_address"]

OrderStatus = Literal["waiting", "partial", "paid", "over", "paid_late", "expired", "cancelled"]
"""waiting: nothing came yet. partial: less than asked. paid: what was asked, or anything where no amount was. over: more.
paid_late: what came, came after the order's time. expired, cancelled: nothing (more) is expected; the address stays valid."""


class ChainTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """One USDT Transfer on the chain; (network, txid, log_index) is its name for ever."""

    network: str
    """`mainnet`, `nile`, `shasta` or `sandbox`."""
    txid: str
    """The transaction's id, 64 hex digits."""
    log_index: int
    """Position of the Transfer among the transaction's logs, from 0."""
    from_address: str
    """Who sent it, base58check."""
    to_address: str
    """Our address, base58check."""
    amount_micro_usdt: int
    """What arrived, in micro-USDT."""
    block_height: int
    """The block it is in."""
    block_time_ms: int
    """That block's time, by the chain's clock."""


class DepositDetected(msgspec.Struct, frozen=True, kw_only=True):
    """`deposits.deposit_detected.v1`: seen in a block that may still vanish; for display, never for money."""

    id: str
    """The event's id and `ce-id`."""
    deposit_id: str
    """The deposit; the same id until it is credited."""
    account_id: str
    """Whose address it is."""
    transfer: ChainTransfer
    """What was seen."""
    detected_at_ms: int
    """When, by the service's clock."""


class DepositConfirmed(msgspec.Struct, frozen=True, kw_only=True):
    """`deposits.deposit_confirmed.v1`: in a solidified block and due to be booked. Billing books (deposit_id, entry) once.

    Published again, with the same id, until billing has answered with `billing.deposit_booked.v1`.
    """

    id: str
    """The event's id and `ce-id`; derived from the deposit and the entry."""
    deposit_id: str
    """The deposit."""
    account_id: str
    """Whose wallet; `house` for suspense."""
    entry: Entry
    """What is to be booked."""
    amount_nanousd: int
    """What is to be booked, in nanoUSD."""
    transfer: ChainTransfer
    """Where it comes from."""
    actor: str = ""
    """The operator who decided it; empty where nobody had to."""
    reason: str = ""
    """The operator's words."""
    confirmed_at_ms: int
    """When, by the service's clock."""


class DepositBelowMinimum(msgspec.Struct, frozen=True, kw_only=True):
    """`deposits.deposit_below_minimum.v1`: solid, and kept until what the address got reaches the minimum."""

    id: str
    """The event's id and `ce-id`."""
    deposit_id: str
    """The deposit."""
    account_id: str
    """Whose address it is."""
    transfer: ChainTransfer
    """What arrived."""
    accumulated_micro_usdt: int
    """All that waits at this address, in micro-USDT."""
    minimum_micro_usdt: int
    """From which all of it is credited, in micro-USDT."""
    at_ms: int
    """When, by the service's clock."""


class DepositHeld(msgspec.Struct, frozen=True, kw_only=True):
    """`deposits.deposit_held.v1`: solid, and waits for an operator."""

    id: str
    """The event's id and `ce-id`."""
    deposit_id: str
    """The deposit."""
    account_id: str
    """Whose address it is."""
    transfer: ChainTransfer
    """What arrived."""
    reason: HeldReason
    """Why it waits."""
    at_ms: int
    """When, by the service's clock."""


class DepositCredited(msgspec.Struct, frozen=True, kw_only=True):
    """`deposits.deposit_credited.v1`: billing has it in the account's wallet."""

    id: str
    """The event's id and `ce-id`."""
    deposit_id: str
    """The deposit."""
    account_id: str
    """Whose wallet."""
    transfer: ChainTransfer
    """Where it came from."""
    amount_nanousd: int
    """What was credited, in nanoUSD."""
    transaction_id: str
    """Of the ledger."""
    order_id: str | None
    """The recharge order it counts for."""
    credited_at_ms: int
    """When it was booked, by billing's clock."""


class DepositOrphaned(msgspec.Struct, frozen=True, kw_only=True):
    """`deposits.deposit_orphaned.v1`: what was detected is not in the solid chain. Nothing was credited."""

    id: str
    """The event's id and `ce-id`."""
    deposit_id: str
    """The deposit."""
    account_id: str
    """Whose address it is."""
    transfer: ChainTransfer
    """What was seen."""
    at_ms: int
    """When, by the service's clock."""


class OrderChanged(msgspec.Struct, frozen=True, kw_only=True):
    """`deposits.order_changed.v1`: a recharge order was made, cancelled, expired, or money arrived for it."""

    id: str
    """The event's id and `ce-id`."""
    order_id: str
    """The order."""
    account_id: str
    """Whose order it is."""
    status: OrderStatus
    """Its status now."""
    amount_micro_usdt: int | None
    """What was asked for, in micro-USDT; null where any amount will do."""
    received_micro_usdt: int
    """What has arrived for it, in micro-USDT."""
    at_ms: int
    """When, by the service's clock."""


class ScannerHalted(msgspec.Struct, frozen=True, kw_only=True):
    """`deposits.scanner_halted.v1`: no deposit is credited until an operator has looked: nodes disagree, or history changed."""

    id: str
    """The event's id and `ce-id`."""
    network: str
    """The chain."""
    reason: str
    """A code, such as `nodes_disagree`."""
    height: int
    """At which block."""
    at_ms: int
    """When, by the service's clock."""


class AddressAssigned(msgspec.Struct, frozen=True, kw_only=True):
    """`deposits.address_assigned.v1`: this address is the account's, for ever. It is said before anybody is shown the address."""

    id: str
    """The event's id and `ce-id`; derived from xpub, account and index."""
    account_id: str
    """Whose address it is from now on."""
    index: int
    """Which child of the xpub it is, from 0."""
    address: str
    """The address, base58check."""
    network: str
    """The chain: `mainnet`, `nile`, `shasta` or `sandbox`."""
    xpub_fingerprint: str
    """Names the xpub that it is derived from."""
    checked_height: int
    """The solid block at which it had nothing: what comes after it is the account's."""
    assigned_at_ms: int
    """When, by the service's clock."""


class DepositBooked(msgspec.Struct, frozen=True, kw_only=True):
    """`billing.deposit_booked.v1`: an entry of a deposit is in the ledger. Said again whenever it is asked for again."""

    id: str
    """The event's id and `ce-id`."""
    account_id: str
    """Whose wallet; `house` for suspense."""
    deposit_id: str
    """The deposit."""
    entry: Entry
    """What was booked."""
    amount_nanousd: int
    """What was booked, in nanoUSD."""
    transaction_id: str
    """Of the ledger."""
    available_nanousd: int
    """Spendable afterwards, in nanoUSD; 0 for the house."""
    booked_at_ms: int
    """When it was booked, by billing's clock."""
