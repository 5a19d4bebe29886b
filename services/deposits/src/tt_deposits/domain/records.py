"""What the service speaks of: blocks, transfers, addresses, deposits. Addresses are their 20 bytes, ids of the chain bytes too."""

import uuid
from typing import Any, Final, Literal

import msgspec

from tt_common.contracts.deposit_events import ChainTransfer, Entry, HeldReason
from tt_common.ids import derived_event_id
from tt_deposits.domain.base58 import address_text

StoredState = Literal["confirming", "crediting", "credited", "below_minimum", "under_review", "suspense", "orphaned"]

HOUSE: Final = "house"
"""Whose account it is where it is nobody's."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator has decided. Amounts in micro-USDT."""

    network: str
    minimum_micro_usdt: int
    """An address is credited once it has got this much."""
    review_above_micro_usdt: int
    """More in one transfer waits for an operator."""
    order_ttl_s: int


class BlockRef(msgspec.Struct, frozen=True, kw_only=True):
    """A block by what names it."""

    height: int
    block_id: bytes
    time_ms: int


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """One USDT Transfer log; `log_index` is its position among the transaction's logs."""

    txid: bytes
    log_index: int
    sender: bytes
    recipient: bytes
    amount_micro_usdt: int


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """One of our addresses; `account_id` of None: derived, and nobody's yet."""

    index: int
    address: bytes
    account_id: str | None
    blacklisted: bool


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """The last solid block whose transfers are in the database, and when it was read."""

    block: BlockRef
    scanned_at_ms: int


class Halt(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing is credited: a code, the block, and what was seen."""

    reason: str
    height: int
    details: dict[str, Any]
    halted_at_ms: int


class GivenAddress(msgspec.Struct, frozen=True, kw_only=True):
    """An account's address, for ever."""

    index: int
    address: bytes
    activated: bool
    blacklisted: bool
    checked_height: int
    assigned_at_ms: int


class AddressCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many addresses there are, by what became of them."""

    assigned: int
    spare: int
    skipped: int
    conflict: int
    """Claimed by two accounts: nobody's."""
    blacklisted: int


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer from one of our addresses: a sweep."""

    transfer: Transfer
    address: Address


class Deposit(msgspec.Struct, kw_only=True):
    """A row of `deposits`."""

    deposit_id: str
    network: str
    transfer: Transfer
    block: BlockRef
    address_index: int
    account_id: str | None
    state: StoredState
    entry: Entry | Literal[""] = ""
    """What billing is asked to book; asked again until it answers."""
    asked_at_ms: int | None = None
    asked_times: int = 0
    booked: bool = False
    held_reason: HeldReason | Literal[""] = ""
    actor: str = ""
    reason: str = ""
    order_id: str | None = None
    detected_at_ms: int | None = None
    confirmed_at_ms: int | None = None
    credited_at_ms: int | None = None
    transaction_id: str | None = None


def deposit_id_of(network: str, txid: bytes, log_index: int) -> str:
    """The same transfer has the same id for ever, whoever sees it and how often."""
    return f"dep_{uuid.UUID(derived_event_id('deposit', network, txid.hex(), str(log_index))).hex}"


def chain_transfer(network: str, transfer: Transfer, block: BlockRef) -> ChainTransfer:
    """As events and records tell of it."""
    return ChainTransfer(
        network=network,
        txid=transfer.txid.hex(),
        log_index=transfer.log_index,
        from_address=address_text(transfer.sender),
        to_address=address_text(transfer.recipient),
        amount_micro_usdt=transfer.amount_micro_usdt,
        block_height=block.height,
        block_time_ms=block.time_ms,
    )
