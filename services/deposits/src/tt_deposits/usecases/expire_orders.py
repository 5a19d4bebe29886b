"""Recharge orders whose time is over say so. Money for them is credited as before."""

from tt_deposits.domain.orders import order_changed
from tt_deposits.usecases.context import Context


async def expire_orders(context: Context, limit: int) -> int:
    """At most `limit` of them; how many."""
    now_ms = context.now_ms()
    async with context.database.begin() as unit:
        orders = await unit.lock_expiring_orders(now_ms, limit)
        for order in orders:
            order.status = "expired"
        await unit.save_orders(orders)
        await unit.enqueue_events([order_changed(order, "expired", now_ms) for order in orders])
    if orders:
        context.poke_outbox()
    return len(orders)
