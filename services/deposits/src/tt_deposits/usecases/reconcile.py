"""Chain against records against ledger. Differences are reported and alarmed; a person corrects them, never this.

The chain is asked in another way than the scanner's and, where there are several nodes, another node. What can't be compared because a
node or billing doesn't answer is no difference, but unchecked: a report is clean only where everything was looked at.
"""

import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from tt_common.contracts.deposits import DepositDifference, GetReconciliation, ReconciliationReport
from tt_common.errors import DomainError
from tt_deposits.domain.base58 import address_text
from tt_deposits.domain.sums import (
    ADDRESS_CHECK,
    BALANCE_CHECK,
    BOOKED_CHECK,
    LEDGER_CHECK,
    RECEIVED_CHECK,
    SENT_CHECK,
    SUM_CHECK,
    difference,
    sum_differences,
)
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.desk_ports import Ledger, Witness
from tt_deposits.usecases.ports import NodeFailed
from tt_deposits.usecases.reconcile_chain import compare_balances, compare_transfers, patiently
from tt_deposits.usecases.reconcile_ledger import compare_ledger

log = logging.getLogger(__name__)

CHECKS: Final = (
    RECEIVED_CHECK,
    SENT_CHECK,
    BALANCE_CHECK,
    SUM_CHECK,
    ADDRESS_CHECK,
    BOOKED_CHECK,
    LEDGER_CHECK,
)
DIFFERENCES_MAX: Final = 1_000
DIFFERENCES_LOGGED_MAX: Final = 10


async def reconcile(
    context: Context, witnesses: Sequence[Witness], ledger: Ledger, *, whole: bool
) -> ReconciliationReport:
    """Blocks since the last clean report, or all of them with every address's balance. The report is stored."""
    first, last = await _range(context, whole=whole)
    addresses, found, unchecked = await _against_chain(context, witnesses, first, last, whole=whole)
    async with context.database.snapshot() as unit:
        sums = await unit.state_sums()
        found += sum_differences(sums, await unit.address_totals())
        for address, expected, has in await unit.wrong_addresses(DIFFERENCES_MAX):
            found.append(difference(ADDRESS_CHECK, address_text(address), expected, has))
    try:
        found += await compare_ledger(context, ledger)
    except DomainError as error:
        unchecked.append(f"billing's ledger: {error.code}")
    report = ReconciliationReport(
        made_at_ms=context.now_ms(),
        running=False,
        clean=not found and not unchecked,
        from_height=first,
        to_height=last,
        addresses=addresses,
        checks=CHECKS,
        sums=tuple(sums),
        differences=tuple(found[:DIFFERENCES_MAX]),
        unchecked=tuple(unchecked),
    )
    async with context.database.begin() as unit:
        await unit.save_report(report)
    await publish(context)
    tell(report)
    return report


async def get_report(context: Context, request: GetReconciliation) -> ReconciliationReport:
    """The last one, and whether another is being made; an empty one before the first."""
    async with context.database.begin() as unit:
        report = await unit.last_report()
        running = await unit.is_reconciling()
    if report is None:
        report = ReconciliationReport(
            made_at_ms=None,
            running=running,
            clean=False,
            from_height=None,
            to_height=None,
            addresses=0,
            checks=(),
            sums=(),
            differences=(),
        )
    return msgspec.structs.replace(report, running=running, differences=report.differences[: request.differences_max])


async def publish(context: Context) -> ReconciliationReport | None:
    """The metrics say when everything was compared last, or since when that was tried in vain; a difference stays until it was done again.

    Gives the last report.
    """
    async with context.database.begin() as unit:
        last = await unit.last_report()
        complete = last if last is None or not last.unchecked else await unit.last_report("complete")
        since = complete or await unit.last_report("first")
    differences = max((len(report.differences) for report in (last, complete) if report is not None), default=0)
    context.metrics.set_reconciled(since.made_at_ms or 0 if since is not None else 0, differences)
    return last


def tell(report: ReconciliationReport) -> None:
    """Into the log."""
    fields = {"from_height": report.from_height, "to_height": report.to_height, "addresses": report.addresses}
    if report.clean:
        log.info("reconciled, no differences", extra=fields)
        return
    if report.unchecked:
        log.warning("reconciliation could not compare everything", extra={**fields, "unchecked": report.unchecked})
    if report.differences:
        log.error("reconciliation found differences", extra={**fields, "differences": len(report.differences)})
    for item in report.differences[:DIFFERENCES_LOGGED_MAX]:
        log.error(
            "difference",
            extra={"check": item.check, "what": item.what, "expected": item.expected, "found": item.found},
        )


async def _range(context: Context, *, whole: bool) -> tuple[int | None, int | None]:
    """First and last block to compare; (None, None) before there is anything."""
    async with context.database.begin() as unit:
        cursor = await unit.read_cursor(context.rules.network)
        first = await unit.first_watched_height()
        clean = None if whole else await unit.last_report("clean")
    if cursor is None or first is None:
        return None, None
    if clean is not None and clean.to_height is not None:
        first = clean.to_height + 1
    return first, cursor.block.height


async def _against_chain(
    context: Context, witnesses: Sequence[Witness], first: int | None, last: int | None, *, whole: bool
) -> tuple[int, list[DepositDifference], list[str]]:
    """The first node that can say everything says it: (how many addresses, what differs, why nothing could be compared)."""
    if first is None or last is None:
        return 0, [], []
    failures: list[str] = []
    for witness in witnesses:
        try:
            reached = await patiently(witness.solid_height)
            if reached < last:
                failures.append(f"node {witness.name}: only at block {reached} of {last}")
                continue
            addresses, found = await compare_transfers(context, witness, first, last)
            _, wrong = await compare_balances(context, witness, None if whole else first)
            return addresses, found + wrong, []
        except NodeFailed as error:
            failures.append(f"node {witness.name}: {error.code}")
    return 0, [], failures
