"""Rows of recharge orders. Who locks several locks them in the order of their ids, after deposits."""

from collections.abc import Collection, Iterable
from typing import Any, Final

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from tt_common.contracts.deposit_events import OrderStatus
from tt_common.db.rows import array, run
from tt_deposits.domain.orders import RechargeOrder

LATE_ORDERS_MAX: Final = 20
"""So many of an account's late orders, the newest, may still be filled."""

_COLUMNS: Final = ", ".join(RechargeOrder.__struct_fields__)
_LOCK_WANTING: Final = f"""
SELECT {_COLUMNS} FROM orders WHERE order_id IN (
    SELECT order_id FROM orders
    WHERE account_id = ANY(CAST(:accounts AS text[])) AND status IN ('waiting', 'partial')
    UNION ALL
    SELECT late.order_id FROM unnest(CAST(:accounts AS text[])) AS a (account_id) CROSS JOIN LATERAL (
        SELECT order_id FROM orders o
        WHERE o.account_id = a.account_id AND status IN ('expired', 'paid_late')
            AND received_micro_usdt < coalesce(amount_micro_usdt, 1)
        ORDER BY created_at_ms DESC, order_id DESC LIMIT :late) AS late)
ORDER BY order_id FOR UPDATE"""


async def lock_wanting_orders(connection: AsyncConnection, account_ids: Collection[str]) -> list[RechargeOrder]:
    """Those of the accounts that a transfer may be counted for: the open ones, and the newest late ones that are not full."""
    result = await run(connection, _LOCK_WANTING, accounts=array(sorted(account_ids)), late=LATE_ORDERS_MAX)
    return [_order(row) for row in result.mappings()]


async def save_orders(connection: AsyncConnection, orders: Iterable[RechargeOrder]) -> None:
    """What has changed of locked ones."""
    for order in orders:
        await run(
            connection,
            "UPDATE orders SET received_micro_usdt = :received, status = :status WHERE order_id = :order_id",
            received=order.received_micro_usdt,
            status=order.status,
            order_id=order.order_id,
        )


async def add_order(connection: AsyncConnection, order: RechargeOrder) -> bool:
    """False where the id is taken."""
    added = await run(
        connection,
        f"INSERT INTO orders ({_COLUMNS}) VALUES (:order_id, :account_id, :amount_micro_usdt, :received_micro_usdt, :status,"
        " :note, :created_at_ms, :expires_at_ms) ON CONFLICT (order_id) DO NOTHING",
        **{field: getattr(order, field) for field in RechargeOrder.__struct_fields__},
    )
    return added.rowcount == 1


async def read_order(connection: AsyncConnection, order_id: str, *, lock: bool = False) -> RechargeOrder | None:
    sql = f"SELECT {_COLUMNS} FROM orders WHERE order_id = :order_id{' FOR UPDATE' if lock else ''}"
    row = (await run(connection, sql, order_id=order_id)).mappings().first()
    return None if row is None else _order(row)


async def list_orders(
    connection: AsyncConnection, account_id: str, before: tuple[int, str] | None, limit: int
) -> list[RechargeOrder]:
    """Newest first, older than `before` (creation time, id)."""
    older = "" if before is None else " AND (created_at_ms, order_id) < (:before_ms, :before_id)"
    parameters: dict[str, Any] = {} if before is None else {"before_ms": before[0], "before_id": before[1]}
    result = await run(
        connection,
        f"SELECT {_COLUMNS} FROM orders WHERE account_id = :account_id{older}"
        " ORDER BY created_at_ms DESC, order_id DESC LIMIT :row_limit",
        account_id=account_id,
        row_limit=limit,
        **parameters,
    )
    return [_order(row) for row in result.mappings()]


async def count_open_orders(connection: AsyncConnection, account_id: str) -> int:
    result = await run(
        connection,
        "SELECT count(*) FROM orders WHERE account_id = :account_id AND status IN ('waiting', 'partial')",
        account_id=account_id,
    )
    return int(result.scalar_one())


async def lock_expiring_orders(connection: AsyncConnection, now_ms: int, limit: int) -> list[RechargeOrder]:
    """Open ones past their time; those that a transfer is being counted for are left for another time."""
    result = await run(
        connection,
        f"SELECT {_COLUMNS} FROM orders WHERE status IN ('waiting', 'partial') AND expires_at_ms < :now_ms"
        " ORDER BY expires_at_ms LIMIT :row_limit FOR UPDATE SKIP LOCKED",
        now_ms=now_ms,
        row_limit=limit,
    )
    return [_order(row) for row in result.mappings()]


async def order_statuses(connection: AsyncConnection, order_ids: Collection[str]) -> dict[str, OrderStatus]:
    result = await run(
        connection,
        "SELECT order_id, status FROM orders WHERE order_id = ANY(CAST(:ids AS text[]))",
        ids=array(order_ids),
    )
    return {row.order_id: row.status for row in result}


async def deposits_of_orders(connection: AsyncConnection, order_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Ids of what was counted for each, oldest first."""
    result = await run(
        connection,
        "SELECT order_id, array_agg(deposit_id ORDER BY block_time_ms, deposit_id) AS deposit_ids FROM deposits"
        " WHERE order_id = ANY(CAST(:ids AS text[])) AND order_id IS NOT NULL GROUP BY order_id",
        ids=array(order_ids),
    )
    return {row.order_id: tuple(row.deposit_ids) for row in result}


async def address_of_account(connection: AsyncConnection, account_id: str) -> bytes | None:
    """Where its orders are paid to: its 20 bytes; None before it has asked for one."""
    result = await run(
        connection, "SELECT address FROM addresses WHERE account_id = :account_id", account_id=account_id
    )
    address = result.scalar_one_or_none()
    return None if address is None else bytes(address)


def _order(row: RowMapping) -> RechargeOrder:
    amount = row["amount_micro_usdt"]
    return RechargeOrder(
        **{
            **row,
            "amount_micro_usdt": None if amount is None else int(amount),
            "received_micro_usdt": int(row["received_micro_usdt"]),
        }
    )
