"""An operator's hand on deposits and the scanner. The deposits service does it; the audit log says who asked and what came of it."""

from collections.abc import Callable

from tt_common.contracts.deposits import (
    Decide,
    DepositRecord,
    ReconciliationReport,
    Rescan,
    ResumeScanner,
    RunReconciliation,
    ScannerState,
    StartRescan,
)
from tt_console.domain.audit import Actor
from tt_console.usecases.audited import Deed, audited, require_account
from tt_console.usecases.ports import Database, Deposits


async def decide_deposit(
    database: Database, deposits: Deposits, request: Decide, actor: Actor, clock: Callable[[], int]
) -> DepositRecord:
    """The same decision again is answered as done. Raises deposit_not_found, account_not_found, invalid_state, Unavailable."""
    before = await deposits.record(None, request.deposit_id)
    if request.account_id is not None:
        await require_account(database, request.account_id)
    deed = Deed(
        action=f"deposit.{request.decision}",
        target=request.deposit_id,
        account_id=request.account_id or before.account_id,
        request=request,
        before=before,
    )
    return await audited(database, lambda: deposits.decide(request), deed, actor, clock)


async def resume_scanner(
    database: Database, deposits: Deposits, request: ResumeScanner, actor: Actor, clock: Callable[[], int]
) -> ScannerState:
    """Scan on after a halt; idempotent. Raises Unavailable."""
    before = await deposits.scanner()
    deed = Deed(action="scanner.resume", target=before.network, account_id=None, request=request, before=before)
    return await audited(database, lambda: deposits.resume_scanner(request), deed, actor, clock)


async def start_rescan(
    database: Database, deposits: Deposits, request: StartRescan, actor: Actor, clock: Callable[[], int]
) -> Rescan:
    """Scan a range again; idempotent by its id. Raises invalid_request, idempotency_conflict, Unavailable."""
    deed = Deed(action="scanner.rescan", target=request.rescan_id, account_id=None, request=request)
    return await audited(database, lambda: deposits.start_rescan(request), deed, actor, clock)


async def run_reconciliation(
    database: Database, deposits: Deposits, request: RunReconciliation, actor: Actor, clock: Callable[[], int]
) -> ReconciliationReport:
    """Start one; answers with the last report. Raises Unavailable."""
    deed = Deed(action="deposits.reconcile", target="deposits", account_id=None, request=request)
    return await audited(database, lambda: deposits.reconcile(request), deed, actor, clock)
