"""Recharge orders by RPC: made once, filled by what is credited, cancelled, expired; never a condition for the credit."""

from typing import Any

import pytest

from tests.integration.deposits.desk import USDT, Desk, FakeBilling, block_at, eventually, transfer
from tt_common.bus.rpc import call
from tt_common.contracts import deposits as d
from tt_common.errors import DomainError
from tt_deposits.domain.base58 import address_text
from tt_deposits.domain.records import Address
from tt_deposits.usecases.expire_orders import expire_orders
from tt_deposits.usecases.orders import OPEN_ORDERS_MAX, create_order


async def make(desk: Desk, order_id: str, amount: int | None = None, **fields: Any) -> d.Order:
    request = d.CreateOrder(**{"order_id": order_id, "account_id": "acc_1", "amount_micro_usdt": amount, **fields})
    return await create_order(desk.context, _has_one, request)


async def _has_one(account_id: str) -> None:
    """The account's address was made by the test."""


async def read(desk: Desk, order_id: str, account_id: str = "acc_1", subject: str = d.ORDER_GET) -> d.Order:
    return await call(desk.nc, subject, d.GetOrder(order_id=order_id, account_id=account_id), d.Order, 5)


async def test_an_order_is_made_once_and_its_id_means_one_body(desk: Desk, mine: Address) -> None:
    first = await make(desk, "ord_1", 5 * USDT, note="June")

    assert await make(desk, "ord_1", 5 * USDT, note="June") == first
    assert (first.status, first.address, first.deposit_ids) == ("waiting", address_text(mine.address), ())
    for other in ({"amount": 6 * USDT}, {"amount": 5 * USDT, "note": "May"}, {"amount": 5 * USDT, "account_id": "b"}):
        with pytest.raises(DomainError, match="idempotency_conflict"):
            await make(desk, "ord_1", **{"note": "June", **other})
    assert len(await eventually(lambda: desk.events("order_changed"), "told")) == 1


async def test_transfers_fill_orders_and_are_credited_with_or_without_one(
    desk: Desk, billing: FakeBilling, mine: Address
) -> None:
    await make(desk, "ord_1", 10 * USDT)
    await make(desk, "ord_2", 3 * USDT)

    await desk.take(100, (transfer(1, mine, 4 * USDT), mine), (transfer(2, mine, 3 * USDT), mine))
    await desk.take(101, (transfer(3, mine, 7 * USDT), mine), (transfer(4, mine, 9 * USDT), mine))
    await eventually(lambda: desk.states() == {"credited": 4}, "all are credited")

    first, second = await read(desk, "ord_1"), await read(desk, "ord_2")
    assert (first.status, first.received_micro_usdt, len(first.deposit_ids)) == ("over", 11 * USDT, 2)
    assert (second.status, second.received_micro_usdt, len(second.deposit_ids)) == ("paid", 3 * USDT, 1)
    page = await call(desk.nc, d.RECORD_LIST, d.ListRecords(account_id="acc_1", order_id="ord_1"), d.RecordPage, 5)
    assert {(r.deposit_id, r.order_status) for r in page.records} == {(i, "over") for i in first.deposit_ids}


async def test_what_is_held_fills_an_order_when_it_is_released(desk: Desk, billing: FakeBilling, mine: Address) -> None:
    await make(desk, "ord_1")
    await desk.take(100, (transfer(1, mine, 20_000 * USDT), mine))
    assert (await read(desk, "ord_1")).status == "waiting"
    (deposit_id,) = desk.sql("SELECT deposit_id FROM deposits")[0]

    release = d.Decide(deposit_id=deposit_id, decision="release", actor="op", reason="known")
    await call(desk.nc, d.RECORD_DECIDE, release, d.DepositRecord, 5)

    assert (await read(desk, "ord_1")).deposit_ids == (deposit_id,)


async def test_an_order_expires_and_late_money_is_credited_in_full(
    desk: Desk, billing: FakeBilling, mine: Address
) -> None:
    made = await make(desk, "ord_1", 5 * USDT)
    assert await expire_orders(desk.context, 10) == 0
    desk.late_ms = made.expires_at_ms - made.created_at_ms + 1000
    assert await expire_orders(desk.context, 10) == 1
    assert (await read(desk, "ord_1")).status == "expired"

    late_height = made.expires_at_ms + 1 - block_at(0).time_ms
    await desk.take(late_height, (transfer(1, mine, 5 * USDT), mine))

    assert (await read(desk, "ord_1")).status == "paid_late"
    await eventually(lambda: desk.states() == {"credited": 1}, "credited")


async def test_a_cancelled_order_takes_no_money_and_the_money_is_credited(
    desk: Desk, billing: FakeBilling, mine: Address
) -> None:
    await make(desk, "ord_1", 5 * USDT)
    for _ in range(2):
        assert (await read(desk, "ord_1", subject=d.ORDER_CANCEL)).status == "cancelled"

    await desk.take(100, (transfer(1, mine, 5 * USDT), mine))

    await eventually(lambda: desk.states() == {"credited": 1}, "credited")
    assert (await read(desk, "ord_1")).received_micro_usdt == 0
    assert len(await desk.events("order_changed")) == 2


async def test_cancelling_an_order_that_has_ended_changes_nothing(
    desk: Desk, billing: FakeBilling, mine: Address
) -> None:
    await make(desk, "ord_1", 5 * USDT)
    await desk.take(100, (transfer(1, mine, 5 * USDT), mine))

    assert (await read(desk, "ord_1", subject=d.ORDER_CANCEL)).status == "paid"


async def test_orders_are_listed_newest_first_within_their_account(desk: Desk, mine: Address) -> None:
    for number in range(5):
        desk.late_ms = number
        await make(desk, f"ord_{number}")
    desk.address(2, "acc_2")
    await make(desk, "ord_other", account_id="acc_2")

    found: list[str] = []
    before: str | None = None
    while True:
        page = await call(
            desk.nc, d.ORDER_LIST, d.ListOrders(account_id="acc_1", limit=2, before=before), d.OrderPage, 5
        )
        found += [order.order_id for order in page.orders]
        before = page.next_before
        if before is None:
            break

    assert found == ["ord_4", "ord_3", "ord_2", "ord_1", "ord_0"]
    with pytest.raises(DomainError, match="order_not_found"):
        await read(desk, "ord_other")


async def test_an_account_has_a_limited_number_of_open_orders(desk: Desk, mine: Address) -> None:
    desk.sql(
        "INSERT INTO orders SELECT 'ord_' || n, 'acc_1', NULL, 0, 'waiting', '', 1, 9000000000000"
        f" FROM generate_series(1, {OPEN_ORDERS_MAX}) AS n"
    )

    with pytest.raises(DomainError, match="open orders"):
        await make(desk, "ord_one_more")
    assert (await make(desk, "ord_1")).order_id == "ord_1"  # a retry of one that is there
