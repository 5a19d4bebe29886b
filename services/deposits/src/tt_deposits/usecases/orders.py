"""Recharge orders: make, read, list, cancel. What they are filled with is decided where deposits are taken in."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from tt_common.contracts.deposits import CreateOrder, GetOrder, ListOrders, Order, OrderPage
from tt_common.errors import DomainError
from tt_deposits.domain.base58 import address_text
from tt_deposits.domain.orders import OPEN, RechargeOrder, order_changed
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.desk_ports import DeskUnit
from tt_deposits.usecases.paging import page_before, page_mark

ORDERS_MAX: Final = 200
OPEN_ORDERS_MAX: Final = 100
"""Of one account: each is looked at when a transfer comes."""
MS_PER_S: Final = 1000

AssignAddress = Callable[[str], Awaitable[object]]
"""Gives an account its address, where it has none. Error: deposits_unavailable."""


async def create_order(context: Context, assign: AssignAddress, request: CreateOrder) -> Order:
    """Makes it once; the account gets an address where it has none. Errors: idempotency_conflict, invalid_request for one too many,
    deposits_unavailable.
    """
    await assign(request.account_id)
    now_ms = context.now_ms()
    order = RechargeOrder(
        order_id=request.order_id,
        account_id=request.account_id,
        amount_micro_usdt=request.amount_micro_usdt,
        note=request.note,
        created_at_ms=now_ms,
        expires_at_ms=now_ms + context.rules.order_ttl_s * MS_PER_S,
    )
    async with context.database.begin() as unit:
        before = await unit.read_order(order.order_id)
        if before is None and await unit.count_open_orders(order.account_id) >= OPEN_ORDERS_MAX:
            raise DomainError("invalid_request", f"an account has at most {OPEN_ORDERS_MAX} open orders")
        if before is None and await unit.add_order(order):
            await unit.enqueue_events([order_changed(order, "created", now_ms)])
        else:
            order = _same(before or await unit.read_order(order.order_id), order)
        shown = await _shown(unit, order.account_id, [order])
    context.poke_outbox()
    return shown[0]


async def get_order(context: Context, request: GetOrder) -> Order:
    """Error: order_not_found, also for another account's."""
    return await _read(context, request, cancel=False)


async def cancel_order(context: Context, request: GetOrder) -> Order:
    """It takes no money any more; one that has ended stays as it is. Error: order_not_found."""
    return await _read(context, request, cancel=True)


async def list_orders(context: Context, request: ListOrders) -> OrderPage:
    """Newest first. Error: invalid_request for a cursor that is none."""
    limit = max(1, min(request.limit, ORDERS_MAX))
    before = page_before(request.before)
    async with context.database.begin() as unit:
        orders = await unit.list_orders(request.account_id, before, limit)
        shown = await _shown(unit, request.account_id, orders)
    last = orders[-1] if len(orders) == limit else None
    return OrderPage(orders=shown, next_before=page_mark(last.created_at_ms, last.order_id) if last else None)


async def _read(context: Context, request: GetOrder, *, cancel: bool) -> Order:
    async with context.database.begin() as unit:
        order = await unit.read_order(request.order_id, lock=cancel)
        if order is None or order.account_id != request.account_id:
            raise DomainError("order_not_found", "no such order")
        if cancel and order.status in OPEN:
            order.status = "cancelled"
            await unit.save_orders([order])
            await unit.enqueue_events([order_changed(order, "cancelled", context.now_ms())])
        shown = await _shown(unit, order.account_id, [order])
    if cancel:
        context.poke_outbox()
    return shown[0]


def _same(before: RechargeOrder | None, order: RechargeOrder) -> RechargeOrder:
    if before is None or (before.account_id, before.amount_micro_usdt, before.note) != (
        order.account_id,
        order.amount_micro_usdt,
        order.note,
    ):
        raise DomainError("idempotency_conflict", "this order id was used with another body")
    return before


async def _shown(unit: DeskUnit, account_id: str, orders: Sequence[RechargeOrder]) -> tuple[Order, ...]:
    deposit_ids = await unit.deposits_of_orders([order.order_id for order in orders])
    address = await unit.address_of_account(account_id)
    return tuple(
        Order(
            order_id=order.order_id,
            account_id=order.account_id,
            status=order.status,
            amount_micro_usdt=order.amount_micro_usdt,
            received_micro_usdt=order.received_micro_usdt,
            note=order.note,
            address="" if address is None else address_text(address),
            created_at_ms=order.created_at_ms,
            expires_at_ms=order.expires_at_ms,
            deposit_ids=deposit_ids.get(order.order_id, ()),
        )
        for order in orders
    )
