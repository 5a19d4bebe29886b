"""What must agree with what: comparisons of chain, records and ledger. They find differences and change nothing.

Amounts are micro-USDT. The second way to the chain tells no log index within the transaction, so transfers are compared as a bag: how
many of the same transaction, parties and amount.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from tt_common.contracts.deposits import DepositDifference, DepositState, StateSum
from tt_deposits.domain.base58 import address_text

RECEIVED_CHECK: Final = "every transfer to our addresses on the chain is in the records, and no other"
SENT_CHECK: Final = "every transfer from our addresses on the chain is in the records, and no other"
BALANCE_CHECK: Final = "an address holds what it received less what it sent"
SUM_CHECK: Final = "confirmed receipts are credited, crediting, below minimum, under review or in suspense"
ADDRESS_CHECK: Final = "what an address received and sent is the sum of its transfers"
BOOKED_CHECK: Final = "what the records have as booked is in the ledger"
LEDGER_CHECK: Final = "what the ledger has booked is what the records asked for"

CONFIRMED_STATES: Final[tuple[DepositState, ...]] = (
    "credited",
    "crediting",
    "below_minimum",
    "under_review",
    "suspense",
)


class Moved(NamedTuple):
    """One USDT transfer, without its place in the transaction."""

    txid: bytes
    sender: bytes
    recipient: bytes
    amount_micro_usdt: int

    def __str__(self) -> str:
        return (
            f"{self.txid.hex()}: {self.amount_micro_usdt} from {address_text(self.sender)}"
            f" to {address_text(self.recipient)}"
        )


class AddressTotals(NamedTuple):
    """What all addresses have together, and what all their transfers add up to."""

    received_micro_usdt: int
    sent_micro_usdt: int
    outgoing_micro_usdt: int


def lacking(here: Iterable[Moved], there: Iterable[Moved]) -> list[tuple[Moved, int]]:
    """What `there` has of less often than `here`, and how much less."""
    return sorted((Counter(here) - Counter(there)).items())


def transfer_differences(check: str, chain: Sequence[Moved], records: Sequence[Moved]) -> list[DepositDifference]:
    """Of transfers in the same blocks by two ways."""
    return [
        *(
            difference(check, str(moved), f"{times} more in the records", "none")
            for moved, times in lacking(chain, records)
        ),
        *(
            difference(check, str(moved), "none", f"{times} that the chain has not")
            for moved, times in lacking(records, chain)
        ),
    ]


def sum_differences(sums: Sequence[StateSum], totals: AddressTotals) -> list[DepositDifference]:
    """What addresses received is what deposits are, by their states; what they sent is what went out."""
    deposited = sum(state.amount_micro_usdt for state in sums if state.state in CONFIRMED_STATES)
    found: list[DepositDifference] = []
    if deposited != totals.received_micro_usdt:
        found.append(difference(SUM_CHECK, "all addresses", str(totals.received_micro_usdt), str(deposited)))
    if totals.sent_micro_usdt != totals.outgoing_micro_usdt:
        what = "sent by all addresses"
        found.append(difference(ADDRESS_CHECK, what, str(totals.outgoing_micro_usdt), str(totals.sent_micro_usdt)))
    return found


def difference(check: str, what: str, expected: str, found: str) -> DepositDifference:
    """`expected` is what the other side says."""
    return DepositDifference(check=check, what=what, expected=expected, found=found)
