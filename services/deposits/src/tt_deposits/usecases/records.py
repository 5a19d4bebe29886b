"""Deposits as customers and operators see them: state, confirmations as of now, timeline, order."""

from collections.abc import Collection, Sequence
from typing import Final

from tt_common.contracts.deposit_events import OrderStatus
from tt_common.contracts.deposits import (
    CONFIRMATIONS_REQUIRED,
    DepositRecord,
    DepositState,
    GetRecord,
    ListRecords,
    RecordPage,
    StateChange,
)
from tt_common.errors import DomainError
from tt_deposits.domain.changes import Step
from tt_deposits.domain.records import Deposit, StoredState, chain_transfer
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.desk_ports import DeskUnit, RecordFilter
from tt_deposits.usecases.paging import page_before, page_mark
from tt_deposits.usecases.ports import Heads

RECORDS_MAX: Final = 500


async def get_record(context: Context, request: GetRecord) -> DepositRecord:
    """Error: deposit_not_found, also for another account's."""
    heads = await context.nodes.heads()
    async with context.database.begin() as unit:
        deposit = await unit.read_deposit(request.deposit_id, request.account_id)
        if deposit is None:
            raise DomainError("deposit_not_found", "no such deposit")
        return await record_in(unit, deposit, heads)


async def list_records(context: Context, request: ListRecords) -> RecordPage:
    """Newest first. Error: invalid_request for a cursor that is none."""
    limit = max(1, min(request.limit, RECORDS_MAX))
    heads = await context.nodes.heads()
    wanted = _filter(request, _head_of(heads), limit)
    async with context.database.begin() as unit:
        deposits = await unit.list_deposits(wanted)
        records = await _records(unit, deposits, heads)
    last = deposits[-1] if len(deposits) == limit else None
    return RecordPage(records=records, next_before=page_mark(last.block.time_ms, last.deposit_id) if last else None)


async def record_in(unit: DeskUnit, deposit: Deposit, heads: Heads) -> DepositRecord:
    """In the caller's transaction."""
    return (await _records(unit, [deposit], heads))[0]


async def _records(unit: DeskUnit, deposits: Sequence[Deposit], heads: Heads) -> tuple[DepositRecord, ...]:
    if not deposits:
        return ()
    steps = await unit.read_steps([deposit.deposit_id for deposit in deposits])
    statuses = await unit.order_statuses({d.order_id for d in deposits if d.order_id is not None})
    head = _head_of(heads)
    return tuple(_record(d, steps.get(d.deposit_id, []), statuses, head) for d in deposits)


def _record(
    deposit: Deposit, steps: Sequence[Step], statuses: dict[str, OrderStatus], head: int | None
) -> DepositRecord:
    confirmations = confirmations_of(deposit, head)
    shown: DepositState = "detected" if deposit.state == "confirming" and confirmations <= 1 else deposit.state
    return DepositRecord(
        deposit_id=deposit.deposit_id,
        account_id=deposit.account_id,
        state=shown,
        transfer=chain_transfer(deposit.network, deposit.transfer, deposit.block),
        confirmations=confirmations,
        held_reason=deposit.held_reason,
        order_id=deposit.order_id,
        order_status=statuses.get(deposit.order_id) if deposit.order_id is not None else None,
        timeline=tuple(StateChange(state=s.state, at_ms=s.at_ms, actor=s.actor, detail=s.detail) for s in steps),
        confirmed_at_ms=deposit.confirmed_at_ms,
        credited_at_ms=deposit.credited_at_ms,
        transaction_id=deposit.transaction_id,
    )


def confirmations_of(deposit: Deposit, head: int | None) -> int:
    """Blocks at or above its own, one less than all until it is solid; 0 for what has vanished."""
    if deposit.state == "orphaned":
        return 0
    if deposit.state != "confirming":
        return CONFIRMATIONS_REQUIRED
    above = 1 if head is None else head - deposit.block.height + 1
    return max(0, min(above, CONFIRMATIONS_REQUIRED - 1))


def _filter(request: ListRecords, head: int | None, limit: int) -> RecordFilter:
    states = request.states
    unsolid_from: int | None = None
    unsolid_below: int | None = None
    if states is not None and ("detected" in states) != ("confirming" in states):
        newest = head if head is not None else 0
        unsolid_from, unsolid_below = (newest, None) if "detected" in states else (None, newest)
    return RecordFilter(
        account_id=request.account_id,
        states=None if states is None else _stored(states),
        unsolid_from=unsolid_from,
        unsolid_below=unsolid_below,
        order_id=request.order_id,
        before=page_before(request.before),
        limit=limit,
    )


def _stored(states: Collection[DepositState]) -> frozenset[StoredState]:
    return frozenset("confirming" if state == "detected" else state for state in states)


def _head_of(heads: Heads) -> int | None:
    return heads.head.height if heads.head is not None else None
