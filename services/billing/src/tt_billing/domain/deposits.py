"""What is booked of a deposit: which events are sound, and which entry may follow which.

Invariant: a deposit is credited or suspended, once and for its whole amount; what is suspended is assigned at most once. The same entry
asked for again moves nothing and is answered again. Never looks at the chain: what arrived is what the deposits service says.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tt_billing.domain.book import Book, Bucket, Transfer, Wallet
from tt_billing.domain.intake import INTEGER_MAX, SEQUENCE_MAX, TEXT_MAX, PoisonEvent, storable
from tt_common.contracts.deposit_events import (
    NANOUSD_PER_MICRO_USDT,
    ChainTransfer,
    DepositBooked,
    DepositConfirmed,
    Entry,
)
from tt_common.ids import derived_event_id

SOURCE: Final = "deposit"
HOUSE: Final = "house"
ASSIGNED: Final = ":assigned"
REASON_MAX: Final = 2000


class Move(msgspec.Struct, frozen=True):
    """How an entry stands in the ledger."""

    kind: str
    debit: Bucket
    credit: Bucket


MOVES: Final[dict[Entry, Move]] = {
    "credit": Move("deposit_credited", "receipts", "available"),
    "suspend": Move("deposit_suspended", "receipts", "suspense"),
    "assign": Move("deposit_assigned", "suspense", "available"),
}
ENTRIES: Final[dict[str, Entry]] = {move.kind: entry for entry, move in MOVES.items()}

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_NETWORK: Final = re.compile(r"[a-z0-9-]{1,32}")
_TXID: Final = re.compile(r"[0-9a-f]{64}")
_ADDRESS: Final = re.compile(r"[A-Za-z0-9]{1,64}")
_NAME: Final = ("network", "txid", "log_index")
_decoder: Final = msgspec.json.Decoder(DepositConfirmed)


class ConflictingDeposit(Exception):
    """The deposit is booked otherwise, or can't be booked as asked; the text says how."""


class OtherNetwork(Exception):
    """The deposit is on a chain whose coins are no money here."""


class TooEarly(Exception):
    """An assignment whose suspension is not booked yet: it comes again later."""


def decode_deposit(payload: bytes) -> DepositConfirmed:
    """The event of a payload, fit to be booked. Raises PoisonEvent."""
    try:
        event = _decoder.decode(payload)
    except (msgspec.DecodeError, ValueError) as error:
        raise PoisonEvent(str(error)[:TEXT_MAX]) from error
    if not all(map(_ID.fullmatch, (event.id, event.deposit_id, event.account_id))):
        raise PoisonEvent("an id is no token")
    if (event.account_id == HOUSE) != (event.entry == "suspend"):
        raise PoisonEvent(f"the entry {event.entry} is not for the account {event.account_id}")
    if not (storable(event.actor) and storable(event.reason, REASON_MAX)):
        raise PoisonEvent("actor or reason is too long or not storable")
    _check_transfer(event.transfer)
    if event.amount_nanousd != event.transfer.amount_micro_usdt * NANOUSD_PER_MICRO_USDT:
        raise PoisonEvent("the amount is not what arrived")
    if not 0 < event.amount_nanousd <= INTEGER_MAX:
        raise PoisonEvent("the amount is out of range")
    if not 0 <= event.confirmed_at_ms <= SEQUENCE_MAX:
        raise PoisonEvent("a time is out of range")
    return event


def _check_transfer(transfer: ChainTransfer) -> None:
    if _NETWORK.fullmatch(transfer.network) is None or _TXID.fullmatch(transfer.txid) is None:
        raise PoisonEvent("network or txid is none")
    if not all(map(_ADDRESS.fullmatch, (transfer.from_address, transfer.to_address))):
        raise PoisonEvent("an address is none")
    numbers = (transfer.log_index, transfer.block_height, transfer.block_time_ms)
    if min(numbers) < 0 or max(numbers) > SEQUENCE_MAX:
        raise PoisonEvent("a number of the transfer is out of range")


def source_id_of(event: DepositConfirmed) -> str:
    """The same for credit and suspend, so that a deposit has one of them."""
    return event.deposit_id + ASSIGNED if event.entry == "assign" else event.deposit_id


def book_deposit(book: Book, event: DepositConfirmed, known: dict[str, Transfer], network: str) -> bool:
    """Post the entry, or find that it is posted, and add the answer to the book's events. True where it is new.

    `known` has what is booked of the batch's deposits, by source id; what is posted is added. The account's wallet is loaded.
    `network` is the only one that is booked. Raises OtherNetwork, ConflictingDeposit, TooEarly; then nothing has changed.
    """
    if event.transfer.network != network:
        raise OtherNetwork(f"the deposit is on {event.transfer.network}; BILLING_DEPOSITS_NETWORK is {network}")
    source_id = source_id_of(event)
    before = known.get(source_id)
    if before is not None:
        _check_same(before, event)
    else:
        _check_possible(book.wallets[event.account_id], event, known)
        known[source_id] = _post(book, event, source_id)
    book.events.append(_answer(event, known[source_id]))
    return before is None


def _check_same(booked: Transfer, event: DepositConfirmed) -> None:
    """Who decided it and in which words may differ: a deposits database restored from a backup decides again."""
    if booked.kind != MOVES[event.entry].kind:
        raise ConflictingDeposit(f"the deposit is booked as {booked.kind}")
    if (booked.account_id, booked.amount_nanousd) != (event.account_id, event.amount_nanousd):
        raise ConflictingDeposit("the deposit is booked for another account or amount")
    if _name_of(booked.details) != _name_of(msgspec.structs.asdict(event.transfer)):
        raise ConflictingDeposit("the deposit is booked for another transfer")


def _check_possible(wallet: Wallet, event: DepositConfirmed, known: Mapping[str, Transfer]) -> None:
    if event.entry == "assign":
        suspended = known.get(event.deposit_id)
        if suspended is None:
            raise TooEarly
        _check_same(suspended, msgspec.structs.replace(event, entry="suspend", account_id=HOUSE))
    if wallet.available_nanousd + event.amount_nanousd > INTEGER_MAX:
        raise ConflictingDeposit("the wallet can't hold as much")


def _post(book: Book, event: DepositConfirmed, source_id: str) -> Transfer:
    move = MOVES[event.entry]
    wallet = book.wallets[event.account_id]
    afterwards = wallet.available_nanousd + event.amount_nanousd if move.credit == "available" else 0
    transfer = msgspec.structs.asdict(event.transfer)
    block_time_ms: int = transfer.pop("block_time_ms")
    return book.post(
        move.kind,
        event.account_id,
        move.debit,
        move.credit,
        event.amount_nanousd,
        source=SOURCE,
        source_id=source_id,
        details={
            "deposit_id": event.deposit_id,
            "entry": event.entry,
            **transfer,
            "actor": event.actor,
            "reason": event.reason,
            "available_nanousd": afterwards,
        },
        occurred_at_ms=event.confirmed_at_ms if event.entry == "assign" else block_time_ms,
    )


def _answer(event: DepositConfirmed, booked: Transfer) -> DepositBooked:
    """The same whenever it is asked for: of what stands in the ledger, not of now."""
    return DepositBooked(
        id=derived_event_id("deposit_booked", booked.source_id),
        account_id=booked.account_id,
        deposit_id=event.deposit_id,
        entry=event.entry,
        amount_nanousd=booked.amount_nanousd,
        transaction_id=str(booked.transaction_id),
        available_nanousd=booked.details["available_nanousd"],
        booked_at_ms=booked.booked_at_ms,
    )


def _name_of(transfer: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(transfer[part] for part in _NAME)
