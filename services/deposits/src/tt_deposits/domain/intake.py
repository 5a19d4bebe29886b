"""What becomes of a transfer in a solid block: who gets it, or for what it waits. Pure; the store writes what is decided.

Invariant: a transfer is taken in once. All that waits below the minimum at an address is credited together, each by itself.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from tt_common.contracts.deposit_events import HeldReason
from tt_deposits.domain.booking import AMOUNT_MICRO_USDT_MAX
from tt_deposits.domain.changes import Changes
from tt_deposits.domain.records import Address, BlockRef, Deposit, Rules, Transfer, deposit_id_of

Verdict = Literal["credit", "below_minimum", "suspend"] | HeldReason

UNSOLID: frozenset[str] = frozenset({"confirming", "orphaned"})
"""States of what was seen for display alone: a solid block overrules them."""


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer to one of our addresses, in this block, and what the records had of it before."""

    deposit_id: str
    block: BlockRef
    transfer: Transfer
    address: Address
    known: Deposit | None = None


def arrival_of(network: str, block: BlockRef, transfer: Transfer, address: Address) -> Arrival:
    """Not known yet; the store may know better."""
    deposit_id = deposit_id_of(network, transfer.txid, transfer.log_index)
    return Arrival(deposit_id=deposit_id, block=block, transfer=transfer, address=address)


def judge(rules: Rules, amount_micro_usdt: int, address: Address, waiting_micro_usdt: int) -> Verdict:
    """Where a solid transfer goes. `waiting_micro_usdt` is what is kept below the minimum at the address.

    What the ledger can't book comes first: nobody can credit, suspend or assign it.
    """
    if amount_micro_usdt > AMOUNT_MICRO_USDT_MAX:
        return "amount_overflow"
    if address.account_id is None:
        return "suspend"
    if address.blacklisted:
        return "blacklisted_address"
    if amount_micro_usdt > rules.review_above_micro_usdt:
        return "above_limit"
    if waiting_micro_usdt + amount_micro_usdt < rules.minimum_micro_usdt:
        return "below_minimum"
    return "credit"


def take_in(changes: Changes, arrivals: Sequence[Arrival], waiting: Sequence[Deposit]) -> int:
    """Decide on the arrivals of a solid block, in order; how many were not confirmed before.

    `waiting` is all that is below the minimum at their addresses, oldest first.
    """
    by_address: dict[int, list[Deposit]] = {}
    for deposit in waiting:
        by_address.setdefault(deposit.address_index, []).append(deposit)
    taken = 0
    for arrival in arrivals:
        # What a block names twice is one transfer; what was confirmed stays as it is.
        if arrival.deposit_id in changes.deposits or (arrival.known and arrival.known.state not in UNSOLID):
            continue
        deposit = placed(changes.rules.network, arrival)
        changes.confirm(deposit)
        _settle(changes, deposit, arrival.address, by_address.setdefault(arrival.address.index, []))
        taken += 1
    return taken


def placed(network: str, arrival: Arrival) -> Deposit:
    """The deposit in the arrival's block, whatever block it was seen in before."""
    known = arrival.known
    return Deposit(
        deposit_id=arrival.deposit_id,
        network=network,
        transfer=arrival.transfer,
        block=arrival.block,
        address_index=arrival.address.index,
        account_id=arrival.address.account_id,
        state="confirming",
        detected_at_ms=known.detected_at_ms if known else None,
    )


def _settle(changes: Changes, deposit: Deposit, address: Address, waiting: list[Deposit]) -> None:
    waits = sum(other.transfer.amount_micro_usdt for other in waiting)
    amount = deposit.transfer.amount_micro_usdt
    verdict = judge(changes.rules, amount, address, waits)
    if verdict == "suspend":
        changes.suspend(deposit)
    elif verdict == "below_minimum":
        changes.keep_below_minimum(deposit, waits + amount)
        waiting.append(deposit)
    elif verdict == "credit":
        for other in (*waiting, deposit):
            changes.credit(other)
        waiting.clear()
    else:
        changes.hold(deposit, verdict)
