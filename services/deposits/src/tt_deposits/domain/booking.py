"""What billing is asked to book for a deposit, and whether what it has booked is that.

The words of a question never change: it is asked again until it is answered.
"""

from typing import Final, Literal

from tt_common.contracts.deposit_events import NANOUSD_PER_MICRO_USDT, DepositConfirmed, Entry
from tt_common.ids import derived_event_id
from tt_deposits.domain.records import HOUSE, Deposit, chain_transfer

AMOUNT_MICRO_USDT_MAX: Final = 2**62 // NANOUSD_PER_MICRO_USDT
"""More nanoUSD than billing takes in one event (it keeps half of 64 bits for sums): nobody can book it."""

Mismatch = Literal["unknown_deposit", "not_asked", "other_account", "other_amount"]


def confirmed_event(deposit: Deposit, entry: Entry) -> DepositConfirmed:
    """The question to billing; the same words however often it is asked."""
    decided = entry == deposit.entry
    return DepositConfirmed(
        id=derived_event_id("deposit_confirmed", deposit.deposit_id, entry),
        deposit_id=deposit.deposit_id,
        account_id=account_of_entry(deposit, entry),
        entry=entry,
        amount_nanousd=nanousd_of(deposit),
        transfer=chain_transfer(deposit.network, deposit.transfer, deposit.block),
        actor=deposit.actor if decided else "",
        reason=deposit.reason if decided else "",
        confirmed_at_ms=deposit.confirmed_at_ms or 0,
    )


def account_of_entry(deposit: Deposit, entry: Entry) -> str:
    """Whose wallet an entry books to; `house` for suspense. ValueError for a credit to nobody."""
    if entry == "suspend":
        return HOUSE
    if deposit.account_id is None:
        raise ValueError("only suspense takes what is nobody's")
    return deposit.account_id


def entries_of(deposit: Deposit) -> tuple[Entry, ...]:
    """What billing has to have booked for it. It can assign only what it has in suspense."""
    if deposit.entry == "assign":
        return "suspend", "assign"
    return (deposit.entry,) if deposit.entry else ()


def nanousd_of(deposit: Deposit) -> int:
    """What it is worth in the ledger."""
    return deposit.transfer.amount_micro_usdt * NANOUSD_PER_MICRO_USDT


def mismatch(deposit: Deposit | None, entry: Entry, account_id: str, amount_nanousd: int) -> Mismatch | None:
    """Why a booked entry is not what was asked for; None where it is."""
    if deposit is None:
        return "unknown_deposit"
    # What is assigned now was suspended before.
    if deposit.entry != entry and (deposit.entry, entry) != ("assign", "suspend"):
        return "not_asked"
    if account_id != account_of_entry(deposit, entry):
        return "other_account"
    return None if amount_nanousd == nanousd_of(deposit) else "other_amount"
