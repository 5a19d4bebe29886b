"""Deposits and recharge orders as the API shows them. A customer never sees which operator decided, nor in what words."""

from typing import Annotated, Any, Final, Literal

from fastapi import Path, Query
from pydantic import BaseModel

from tt_common.contracts.deposit_events import OrderStatus
from tt_common.contracts.deposits import CONFIRMATIONS_REQUIRED, DepositRecord, DepositState, Order
from tt_console.api.pages import time_text
from tt_console.domain.deposits import DepositStatus, explorer_url, format_usdt

STATES_MAX: Final = 8

DepositId = Annotated[str, Path(max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]
OrderId = Annotated[str, Path(max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]
StateFilter = Annotated[
    list[DepositState] | None, Query(alias="state", max_length=STATES_MAX, description="one or several")
]
OrderFilter = Annotated[str | None, Query(max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]


class OrderOut(BaseModel):
    """A label for a payment; `amount_usdt` null: any amount will do. The address stays valid after `expires_at`."""

    object: Literal["deposit_order"] = "deposit_order"
    id: str
    status: OrderStatus
    amount_usdt: str | None
    amount_micro_usdt: int | None
    received_usdt: str
    received_micro_usdt: int
    note: str
    address: str
    deposit_ids: list[str]
    created_at: str | None
    expires_at: str | None


class StepOut(BaseModel):
    """One step of a deposit's timeline."""

    state: DepositState
    at: str | None


class OperatorStepOut(StepOut):
    """`actor` and `detail` where an operator decided."""

    actor: str
    detail: str


class DepositFields(BaseModel):
    """One transfer. Amounts are decimal strings in USDT; `_micro_usdt` is exact, 10^-6 USDT. `transaction_id` is the ledger's."""

    object: Literal["deposit"] = "deposit"
    id: str
    state: DepositState
    amount_usdt: str
    amount_micro_usdt: int
    confirmations: int
    confirmations_required: int
    held_reason: str
    order_id: str | None
    order_status: OrderStatus | None
    network: str
    txid: str
    log_index: int
    explorer_url: str | None
    from_address: str
    to_address: str
    block_height: int
    block_time: str | None
    confirmed_at: str | None
    credited_at: str | None
    transaction_id: str | None


class DepositOut(DepositFields):
    """A deposit of the account."""

    timeline: list[StepOut]


class OperatorDepositOut(DepositFields):
    """Anybody's deposit; `account_id` null: the address is nobody's."""

    account_id: str | None
    timeline: list[OperatorStepOut]


class StatusOut(BaseModel):
    """Whether deposits arrive as usual. `delayed`: later than usual, `eta_s` says how long catching up takes where that is known.
    `halted`: nothing is credited until an operator has looked. The chain is read up to `read_until`."""

    object: Literal["deposit_status"] = "deposit_status"
    network: str
    delayed: bool
    halted: bool
    eta_s: int | None
    read_until: str | None


def order_out(order: Order) -> OrderOut:
    """An order as its owner sees it."""
    amount = order.amount_micro_usdt
    return OrderOut(
        id=order.order_id,
        status=order.status,
        amount_usdt=None if amount is None else format_usdt(amount),
        amount_micro_usdt=amount,
        received_usdt=format_usdt(order.received_micro_usdt),
        received_micro_usdt=order.received_micro_usdt,
        note=order.note,
        address=order.address,
        deposit_ids=list(order.deposit_ids),
        created_at=time_text(order.created_at_ms),
        expires_at=time_text(order.expires_at_ms),
    )


def deposit_out(record: DepositRecord) -> DepositOut:
    """A deposit as its owner sees it."""
    timeline = [StepOut(state=step.state, at=time_text(step.at_ms)) for step in record.timeline]
    return DepositOut(**_fields(record), timeline=timeline)


def operator_deposit_out(record: DepositRecord) -> OperatorDepositOut:
    """A deposit with whose it is and who decided."""
    timeline = [
        OperatorStepOut(state=step.state, at=time_text(step.at_ms), actor=step.actor, detail=step.detail)
        for step in record.timeline
    ]
    return OperatorDepositOut(**_fields(record), account_id=record.account_id, timeline=timeline)


def status_out(status: DepositStatus) -> StatusOut:
    """What a customer is told of the scanner."""
    return StatusOut(
        network=status.network,
        delayed=status.delayed,
        halted=status.halted,
        eta_s=status.eta_s,
        read_until=time_text(status.read_until_ms),
    )


def _fields(record: DepositRecord) -> dict[str, Any]:
    transfer = record.transfer
    return {
        "id": record.deposit_id,
        "state": record.state,
        "amount_usdt": format_usdt(transfer.amount_micro_usdt),
        "amount_micro_usdt": transfer.amount_micro_usdt,
        "confirmations": record.confirmations,
        "confirmations_required": CONFIRMATIONS_REQUIRED,
        "held_reason": record.held_reason,
        "order_id": record.order_id,
        "order_status": record.order_status,
        "network": transfer.network,
        "txid": transfer.txid,
        "log_index": transfer.log_index,
        "explorer_url": explorer_url(transfer.network, transfer.txid),
        "from_address": transfer.from_address,
        "to_address": transfer.to_address,
        "block_height": transfer.block_height,
        "block_time": time_text(transfer.block_time_ms),
        "confirmed_at": time_text(record.confirmed_at_ms),
        "credited_at": time_text(record.credited_at_ms),
        "transaction_id": record.transaction_id,
    }
