"""Billing's ledger against the records: every booked entry, its account and its amount, both ways.

What the ledger has forgotten (its database was restored from a backup) is asked for again; nothing else is changed.
"""

import logging
from collections.abc import Sequence
from typing import Final

from tt_common.contracts.deposit_events import Entry
from tt_common.contracts.deposits import DepositDifference
from tt_common.contracts.wallets import BookedDeposit
from tt_deposits.domain.booking import account_of_entry, entries_of, mismatch, nanousd_of
from tt_deposits.domain.records import Deposit
from tt_deposits.domain.sums import BOOKED_CHECK, LEDGER_CHECK, difference
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.desk_ports import Ledger

log = logging.getLogger(__name__)

RECORDS_PAGE: Final = 1_000


def _name(deposit_id: str, entry: Entry) -> int:
    """Of an entry, in 64 bits: a million of them in a set are about 100 MB."""
    return hash((deposit_id, entry))


async def compare_ledger(context: Context, ledger: Ledger) -> list[DepositDifference]:
    """All of it. Raises DomainError where billing does not answer."""
    found: list[DepositDifference] = []
    booked: set[int] = set()
    last = await _read_ledger(context, ledger, 0, booked, found)
    missing = await _missing(context, booked)
    if missing:
        # What was booked since the ledger was read is not missing.
        await _read_ledger(context, ledger, last, booked, None)
        missing = [item for item in missing if _name(item[0].deposit_id, item[1]) not in booked]
    for deposit, entry in missing:
        expected = f"{nanousd_of(deposit)} nanoUSD to {account_of_entry(deposit, entry)}"
        found.append(difference(BOOKED_CHECK, f"{deposit.deposit_id} {entry}", expected, "nothing; asked again"))
    if missing:
        async with context.database.begin() as unit:
            asked = await unit.forget_booked({deposit.deposit_id for deposit, _ in missing})
        log.error("the ledger has forgotten deposits, they are asked for again", extra={"deposits": asked})
    return found


async def _read_ledger(
    context: Context, ledger: Ledger, after: int, booked: set[int], found: list[DepositDifference] | None
) -> int:
    """Adds what is there to `booked`, and what is wrong with it to `found`; the last sequence."""
    while True:
        page = await ledger.booked(after)
        booked.update(_name(entry.deposit_id, entry.entry) for entry in page.deposits)
        if found is not None:
            found += await _compare_page(context, page.deposits)
        if page.deposits:
            after = page.deposits[-1].seq
        if page.next_after is None:
            return after


async def _compare_page(context: Context, entries: Sequence[BookedDeposit]) -> list[DepositDifference]:
    async with context.database.begin() as unit:
        deposits = await unit.deposits_by_id({entry.deposit_id for entry in entries})
    found: list[DepositDifference] = []
    for entry in entries:
        deposit = deposits.get(entry.deposit_id)
        wrong = mismatch(deposit, entry.entry, entry.account_id, entry.amount_nanousd)
        if wrong is not None:
            what = f"{entry.deposit_id} {entry.entry}: {wrong}"
            said = f"{entry.amount_nanousd} nanoUSD to {entry.account_id}"
            found.append(difference(LEDGER_CHECK, what, said, _asked(deposit)))
    return found


def _asked(deposit: Deposit | None) -> str:
    if deposit is None:
        return "no such deposit"
    if not deposit.entry:
        return f"nothing: it is {deposit.state}"
    return f"{deposit.entry}: {nanousd_of(deposit)} nanoUSD to {account_of_entry(deposit, deposit.entry)}"


async def _missing(context: Context, booked: set[int]) -> list[tuple[Deposit, Entry]]:
    missing: list[tuple[Deposit, Entry]] = []
    after = ""
    while True:
        async with context.database.begin() as unit:
            page = await unit.booked_deposits(after, RECORDS_PAGE)
        if not page:
            return missing
        for deposit in page:
            for entry in entries_of(deposit):
                if _name(deposit.deposit_id, entry) not in booked:
                    missing.append((deposit, entry))
        after = page[-1].deposit_id
