"""Operators: how far the chain is read, scanning on after a halt, scanning again, and what there is to sweep."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator

from tt_common.clock import now_ms
from tt_common.contracts.deposits import (
    ExportSweep,
    NodeState,
    Rescan,
    ResumeScanner,
    ScannerState,
    StartRescan,
    SweepPage,
    SweepRow,
)
from tt_console.api.context import Context, ContextDep
from tt_console.api.csv_text import csv_header, csv_response, csv_rows
from tt_console.api.deposits import IdempotencyKey, own_id
from tt_console.api.operator_deposits import ReasonIn
from tt_console.api.pages import PAGE_DEFAULT, Cursor, Limit, Page, number_cursor, time_text
from tt_console.api.session import OperatorDep, actor_of
from tt_console.domain.deposits import format_usdt
from tt_console.usecases.manage_deposits import resume_scanner, start_rescan

router = APIRouter(prefix="/operator/deposits", tags=["operator deposits"])

HEIGHT_MAX: Final = 2**53
SWEEP_PAGE: Final = 200
SWEEP_ROWS_MAX: Final = 1_000_000
SWEEP_COLUMNS: Final = SweepRow.__struct_fields__

Balances = Annotated[bool, Query(description="also what the chain says each address has now")]


class NodeOut(BaseModel):
    """One TRON node as it was last seen; `error` is empty while it answers."""

    name: str
    head_height: int | None
    solid_height: int | None
    error: str
    asked_at: str | None


class RescanOut(BaseModel):
    """A range that is or was scanned again; `found` counts transfers that were not known."""

    object: Literal["rescan"] = "rescan"
    id: str
    from_height: int
    to_height: int
    next_height: int
    found: int
    state: Literal["running", "done"]
    actor: str
    reason: str
    created_at: str | None


class ScannerOut(BaseModel):
    """How far the chain is read. `halted_reason` is empty while it scans."""

    object: Literal["scanner"] = "scanner"
    network: str
    cursor_height: int | None
    cursor_time: str | None
    solid_height: int | None
    head_height: int | None
    head_time: str | None
    blocks_behind: int
    blocks_per_s: float
    eta_s: float | None
    delayed: bool
    halted_reason: str
    halted_height: int | None
    halted_details: dict[str, Any]
    nodes: list[NodeOut]
    rescans: list[RescanOut]
    addresses_assigned: int
    addresses_spare: int
    xpub_fingerprint: str
    unsupported_trx: int
    unsupported_tokens: int


class RescanIn(ReasonIn):
    """Heights, both included."""

    model_config = ConfigDict(extra="forbid")

    from_height: int = Field(strict=True, ge=0, le=HEIGHT_MAX)
    to_height: int = Field(strict=True, ge=0, le=HEIGHT_MAX)

    @model_validator(mode="after")
    def _in_order(self) -> "RescanIn":
        if self.from_height > self.to_height:
            raise ValueError("from_height is at most to_height")
        return self


class SweepRowOut(BaseModel):
    """One address that has got USDT. `unswept` is by our records; `balance` and what follows by the chain, null where not asked."""

    index: int
    path: str
    address: str
    address_hex: str
    account_id: str | None
    received_usdt: str
    sent_usdt: str
    unswept_usdt: str
    unswept_micro_usdt: int
    balance_usdt: str | None
    balance_micro_usdt: int | None
    trx_balance_sun: int | None
    activated: bool | None
    blacklisted: bool
    last_deposit_at: str | None


class SweepOut(Page[SweepRowOut]):
    """A page of addresses; `energy_fee_sun` is the network's price of energy now."""

    network: str
    xpub_fingerprint: str
    solid_height: int | None
    energy_fee_sun: int | None


@router.get("/scanner")
async def get_scanner(_: OperatorDep, context: ContextDep) -> ScannerOut:
    return _scanner_out(await context.deposits.scanner())


@router.post("/scanner/resume")
async def post_resume(body: ReasonIn, request: Request, session: OperatorDep, context: ContextDep) -> ScannerOut:
    """Scan on after a halt whose cause is gone."""
    command = ResumeScanner(actor=session.user.email, reason=body.reason)
    actor = actor_of(request, context, session)
    return _scanner_out(await resume_scanner(context.database, context.deposits, command, actor, now_ms))


@router.post("/scanner/rescans", status_code=201)
async def post_rescan(
    body: RescanIn,
    request: Request,
    session: OperatorDep,
    context: ContextDep,
    idempotency_key: IdempotencyKey = None,
) -> RescanOut:
    """Scan a range again; what is known already changes nothing. The same Idempotency-Key starts one re-scan."""
    command = StartRescan(
        rescan_id=own_id("rescan", session.user.id, idempotency_key),
        from_height=body.from_height,
        to_height=body.to_height,
        actor=session.user.email,
        reason=body.reason,
    )
    actor = actor_of(request, context, session)
    return _rescan_out(await start_rescan(context.database, context.deposits, command, actor, now_ms))


@router.get("/sweep")
async def get_sweep(
    _: OperatorDep, context: ContextDep, balances: Balances = True, limit: Limit = PAGE_DEFAULT, cursor: Cursor = None
) -> SweepOut:
    """Addresses that have got USDT, by index."""
    after = number_cursor(cursor)
    page = await context.deposits.sweep(
        ExportSweep(after=-1 if after is None else after, limit=limit, balances=balances)
    )
    return SweepOut(
        data=[_row_out(row) for row in page.rows],
        has_more=page.next_after is not None,
        next_cursor=None if page.next_after is None else str(page.next_after),
        network=page.network,
        xpub_fingerprint=page.xpub_fingerprint,
        solid_height=page.solid_height,
        energy_fee_sun=page.energy_fee_sun,
    )


@router.get("/sweep.csv", response_class=StreamingResponse, responses={200: {"content": {"text/csv": {}}}})
async def get_sweep_csv(_: OperatorDep, context: ContextDep, balances: Balances = True) -> StreamingResponse:
    """The same addresses as CSV, amounts in micro-USDT, at most a million."""
    request = ExportSweep(limit=SWEEP_PAGE, balances=balances)
    return csv_response(_csv_lines(context, request, await context.deposits.sweep(request)), "sweep.csv")


async def _csv_lines(context: Context, request: ExportSweep, page: SweepPage) -> AsyncIterator[str]:
    yield csv_header(SWEEP_COLUMNS)
    for _ in range(SWEEP_ROWS_MAX // SWEEP_PAGE):
        yield csv_rows(SWEEP_COLUMNS, (msgspec.structs.asdict(row) for row in page.rows))
        if page.next_after is None:
            return
        page = await context.deposits.sweep(msgspec.structs.replace(request, after=page.next_after))


def _scanner_out(scanner: ScannerState) -> ScannerOut:
    values = msgspec.structs.asdict(scanner)
    return ScannerOut(
        cursor_time=time_text(scanner.cursor_time_ms),
        head_time=time_text(scanner.head_time_ms),
        nodes=[_node_out(node) for node in scanner.nodes],
        rescans=[_rescan_out(rescan) for rescan in scanner.rescans],
        **{
            name: values[name]
            for name in ScannerOut.model_fields
            if name in values and name not in ("nodes", "rescans")
        },
    )


def _node_out(node: NodeState) -> NodeOut:
    return NodeOut(
        name=node.name,
        head_height=node.head_height,
        solid_height=node.solid_height,
        error=node.error,
        asked_at=time_text(node.asked_at_ms),
    )


def _rescan_out(rescan: Rescan) -> RescanOut:
    return RescanOut(
        id=rescan.rescan_id,
        from_height=rescan.from_height,
        to_height=rescan.to_height,
        next_height=rescan.next_height,
        found=rescan.found,
        state=rescan.state,
        actor=rescan.actor,
        reason=rescan.reason,
        created_at=time_text(rescan.created_at_ms),
    )


def _row_out(row: SweepRow) -> SweepRowOut:
    return SweepRowOut(
        index=row.index,
        path=row.path,
        address=row.address,
        address_hex=row.address_hex,
        account_id=row.account_id,
        received_usdt=format_usdt(row.received_micro_usdt),
        sent_usdt=format_usdt(row.sent_micro_usdt),
        unswept_usdt=format_usdt(row.unswept_micro_usdt),
        unswept_micro_usdt=row.unswept_micro_usdt,
        balance_usdt=None if row.balance_micro_usdt is None else format_usdt(row.balance_micro_usdt),
        balance_micro_usdt=row.balance_micro_usdt,
        trx_balance_sun=row.trx_balance_sun,
        activated=row.activated,
        blacklisted=row.blacklisted,
        last_deposit_at=time_text(row.last_deposit_at_ms),
    )
