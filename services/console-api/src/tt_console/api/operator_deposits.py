"""Operators: everybody's deposits, what waits for a decision (`state=under_review`, `state=suspense`), decisions, reconciliation."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from tt_common.clock import now_ms
from tt_common.contracts.deposits import Decide, DepositState, ReconciliationReport, RunReconciliation
from tt_console.api.context import ContextDep
from tt_console.api.deposit_records import records_request
from tt_console.api.deposit_shapes import DepositId, OperatorDepositOut, OrderFilter, StateFilter, operator_deposit_out
from tt_console.api.pages import PAGE_DEFAULT, Cursor, Limit, Page, time_text
from tt_console.api.session import OperatorDep, actor_of
from tt_console.domain.accounts import Session
from tt_console.domain.deposits import format_usdt
from tt_console.usecases.manage_deposits import decide_deposit, run_reconciliation

router = APIRouter(prefix="/operator/deposits", tags=["operator deposits"])

AccountFilter = Annotated[str | None, Query(max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]


class ReasonIn(BaseModel):
    """Why; it is in the audit log and in the deposit's timeline."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=500, pattern=r"^[^\x00]*$")


class AssignIn(ReasonIn):
    """Whose wallet a deposit in suspense goes to."""

    account_id: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")


class SumOut(BaseModel):
    """What was confirmed and is in one state now."""

    state: DepositState
    deposits: int
    amount_usdt: str
    amount_micro_usdt: int


class DifferenceOut(BaseModel):
    check: str
    what: str
    expected: str
    found: str


class ReconciliationOut(BaseModel):
    """The last report: chain against records against ledger. `made_at` null: there is none yet.

    `unchecked` says what could not be compared, and why; it is tried again within minutes.
    """

    object: Literal["reconciliation"] = "reconciliation"
    made_at: str | None
    running: bool
    clean: bool
    from_height: int | None
    to_height: int | None
    addresses: int
    checks: list[str]
    sums: list[SumOut]
    differences: list[DifferenceOut]
    unchecked: list[str]


@router.get("/records")
async def get_all_records(
    _: OperatorDep,
    context: ContextDep,
    account_id: AccountFilter = None,
    states: StateFilter = None,
    order_id: OrderFilter = None,
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> Page[OperatorDepositOut]:
    """Deposits of all accounts, newest first."""
    page = await context.deposits.records(records_request(account_id, states, order_id, limit, cursor))
    return Page(
        data=[operator_deposit_out(record) for record in page.records],
        has_more=page.next_before is not None,
        next_cursor=page.next_before,
    )


@router.get("/records/{deposit_id}")
async def get_any_record(deposit_id: DepositId, _: OperatorDep, context: ContextDep) -> OperatorDepositOut:
    return operator_deposit_out(await context.deposits.record(None, deposit_id))


@router.post("/records/{deposit_id}/release")
async def post_release(
    deposit_id: DepositId, body: ReasonIn, request: Request, session: OperatorDep, context: ContextDep
) -> OperatorDepositOut:
    """From under_review to the customer's wallet."""
    return await _decide(_decision("release", deposit_id, body, session), request, session, context)


@router.post("/records/{deposit_id}/refuse")
async def post_refuse(
    deposit_id: DepositId, body: ReasonIn, request: Request, session: OperatorDep, context: ContextDep
) -> OperatorDepositOut:
    """From under_review to suspense."""
    return await _decide(_decision("refuse", deposit_id, body, session), request, session, context)


@router.post("/records/{deposit_id}/assign")
async def post_assign(
    deposit_id: DepositId, body: AssignIn, request: Request, session: OperatorDep, context: ContextDep
) -> OperatorDepositOut:
    """From suspense to an account's wallet."""
    command = _decision("assign", deposit_id, body, session, body.account_id)
    return await _decide(command, request, session, context)


@router.get("/reconciliation")
async def get_reconciliation(_: OperatorDep, context: ContextDep) -> ReconciliationOut:
    return _report_out(await context.deposits.reconciliation())


@router.post("/reconciliation", status_code=202)
async def post_reconciliation(request: Request, session: OperatorDep, context: ContextDep) -> ReconciliationOut:
    """Start one; it runs in the background. Answers with the last report."""
    command = RunReconciliation(actor=session.user.email)
    actor = actor_of(request, context, session)
    return _report_out(await run_reconciliation(context.database, context.deposits, command, actor, now_ms))


def _decision(
    decision: Literal["release", "refuse", "assign"],
    deposit_id: str,
    body: ReasonIn,
    session: Session,
    account_id: str | None = None,
) -> Decide:
    return Decide(
        deposit_id=deposit_id,
        decision=decision,
        actor=session.user.email,
        reason=body.reason,
        account_id=account_id,
    )


async def _decide(command: Decide, request: Request, session: Session, context: ContextDep) -> OperatorDepositOut:
    actor = actor_of(request, context, session)
    return operator_deposit_out(await decide_deposit(context.database, context.deposits, command, actor, now_ms))


def _report_out(report: ReconciliationReport) -> ReconciliationOut:
    return ReconciliationOut(
        made_at=time_text(report.made_at_ms),
        running=report.running,
        clean=report.clean,
        from_height=report.from_height,
        to_height=report.to_height,
        addresses=report.addresses,
        checks=list(report.checks),
        sums=[
            SumOut(
                state=entry.state,
                deposits=entry.deposits,
                amount_usdt=format_usdt(entry.amount_micro_usdt),
                amount_micro_usdt=entry.amount_micro_usdt,
            )
            for entry in report.sums
        ],
        differences=[
            DifferenceOut(check=found.check, what=found.what, expected=found.expected, found=found.found)
            for found in report.differences
        ],
        unchecked=list(report.unchecked),
    )
