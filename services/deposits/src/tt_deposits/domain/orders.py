"""Recharge orders: which one a transfer counts for, and what that makes of it.

An order is a label. What arrives is credited with or without one; nothing here decides about money.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from tt_common.contracts.deposit_events import OrderChanged, OrderStatus
from tt_common.ids import derived_event_id

OPEN: Final[frozenset[OrderStatus]] = frozenset({"waiting", "partial"})
LATE: Final[frozenset[OrderStatus]] = frozenset({"expired", "paid_late"})
"""What may still be filled after its time."""


class RechargeOrder(msgspec.Struct, kw_only=True):
    """A row of `orders`. Amounts in micro-USDT; `amount_micro_usdt` of None: any amount will do."""

    order_id: str
    account_id: str
    amount_micro_usdt: int | None
    received_micro_usdt: int = 0
    status: OrderStatus = "waiting"
    note: str = ""
    created_at_ms: int
    expires_at_ms: int

    @property
    def full(self) -> bool:
        if self.amount_micro_usdt is None:
            return self.received_micro_usdt > 0
        return self.received_micro_usdt >= self.amount_micro_usdt


def choose_order(orders: Iterable[RechargeOrder], amount_micro_usdt: int, time_ms: int) -> RechargeOrder | None:
    """The order that a transfer in a block of `time_ms` counts for.

    One in time that lacks exactly this much (the oldest), else the oldest in time, else the newest that is late and not full.
    """
    wanting = [order for order in orders if order.status in OPEN | LATE and not order.full]
    in_time = sorted((order for order in wanting if _in_time(order, time_ms)), key=_age)
    for order in in_time:
        if order.amount_micro_usdt == order.received_micro_usdt + amount_micro_usdt:
            return order
    return in_time[0] if in_time else max(wanting, key=_age, default=None)


def fill_order(order: RechargeOrder, amount_micro_usdt: int, time_ms: int) -> None:
    """Count a transfer in a block of `time_ms` for `order`, which `choose_order` has chosen."""
    late = not _in_time(order, time_ms)
    order.received_micro_usdt += amount_micro_usdt
    if late:
        order.status = "paid_late"
    elif not order.full:
        # One that is past its time by the clock, but was not when the block was made, stays so until it is full.
        order.status = "expired" if order.status == "expired" else "partial"
    elif order.amount_micro_usdt is not None and order.received_micro_usdt > order.amount_micro_usdt:
        order.status = "over"
    else:
        order.status = "paid"


def order_changed(order: RechargeOrder, cause: str, now_ms: int) -> OrderChanged:
    """`cause` is a word, or the deposit that was counted: the same change has the same event id."""
    return OrderChanged(
        id=derived_event_id("order_changed", order.order_id, cause),
        order_id=order.order_id,
        account_id=order.account_id,
        status=order.status,
        amount_micro_usdt=order.amount_micro_usdt,
        received_micro_usdt=order.received_micro_usdt,
        at_ms=now_ms,
    )


def _in_time(order: RechargeOrder, time_ms: int) -> bool:
    """By the block's time, not by when it was read: catching up makes no order late."""
    return order.status != "paid_late" and time_ms <= order.expires_at_ms


def _age(order: RechargeOrder) -> tuple[int, str]:
    return order.created_at_ms, order.order_id
