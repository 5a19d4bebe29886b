"""Deposits in the database and on the bus: taken in once, credited when billing says so, decided by operators, found by everybody."""

from typing import Any

import msgspec
import pytest

from tests.integration.deposits.desk import USDT, Desk, FakeBilling, eventually, transfer
from tests.support.chain import Chain
from tt_common.bus.rpc import call
from tt_common.contracts import deposits as d
from tt_common.contracts.deposit_events import DepositConfirmed, DepositCredited
from tt_common.errors import DomainError
from tt_deposits.domain.records import Address


async def records(desk: Desk, account_id: str | None = "acc_1", **fields: Any) -> tuple[d.DepositRecord, ...]:
    request = d.ListRecords(account_id=account_id, **fields)
    return (await call(desk.nc, d.RECORD_LIST, request, d.RecordPage, 5)).records


async def decide(desk: Desk, deposit_id: str, decision: Any, account_id: str | None = None) -> d.DepositRecord:
    request = d.Decide(
        deposit_id=deposit_id, decision=decision, actor="op@example.com", reason="looked", account_id=account_id
    )
    return await call(desk.nc, d.RECORD_DECIDE, request, d.DepositRecord, 5)


async def test_a_transfer_is_credited_once_when_billing_has_booked_it(
    desk: Desk, billing: FakeBilling, mine: Address
) -> None:
    # given a block that is taken in twice, by the scanner and by a re-scan
    assert await desk.take(100, (transfer(1, mine, 25 * USDT), mine)) == 1
    assert await desk.take(100, (transfer(1, mine, 25 * USDT), mine)) == 0

    # when billing answers
    await eventually(lambda: desk.states() == {"credited": 1}, "credited")

    # then everybody is told once
    (record,) = await records(desk)
    assert [step.state for step in record.timeline] == ["crediting", "credited"]
    assert (record.state, record.confirmations) == ("credited", 19)
    assert record.transaction_id == f"txn-{record.deposit_id}-credit"
    (credited,) = await eventually(lambda: desk.events("deposit_credited"), "told")
    event = msgspec.json.decode(credited.data, type=DepositCredited)
    assert (event.amount_nanousd, event.account_id) == (25 * USDT * 1000, "acc_1")
    assert len(billing.asked) == 1
    assert desk.sql("SELECT received_micro_usdt, last_deposit_at_ms FROM addresses") == [
        (25 * USDT, record.transfer.block_time_ms)
    ]


async def test_several_transfers_of_one_transaction_are_several_deposits(
    desk: Desk, billing: FakeBilling, mine: Address
) -> None:
    await desk.take(
        100, (transfer(1, mine, 3 * USDT, log_index=0), mine), (transfer(1, mine, 4 * USDT, log_index=1), mine)
    )

    await eventually(lambda: desk.states() == {"credited": 2}, "credited")
    assert sorted(b.amount_nanousd for b in billing.ledger.values()) == [3 * USDT * 1000, 4 * USDT * 1000]


async def test_what_is_detected_is_confirmed_block_by_block_and_told_of_once(
    desk: Desk, billing: FakeBilling, mine: Address, chain: Chain
) -> None:
    head = chain.head
    made = transfer(1, mine, 2 * USDT)

    assert await desk.see(head, (made, mine)) == 1
    (first,) = await records(desk)
    assert (first.state, first.confirmations) == ("detected", 1)

    # the block is replaced, and the transaction is in the next one
    assert await desk.see(head + 1, (made, mine), fork=7) == 0
    chain.mine(4)
    await desk.context.nodes.look(0.0)
    (second,) = await records(desk, states=("confirming",))
    assert (second.state, second.confirmations, second.transfer.block_height) == ("confirming", 4, head + 1)
    assert await records(desk, states=("detected",)) == ()

    chain.mine(30)
    await desk.context.nodes.look(0.0)
    assert (await records(desk))[0].confirmations == 18  # until it is solid

    await desk.take(head + 1, (made, mine))
    await eventually(lambda: desk.states() == {"credited": 1}, "credited")
    assert [step.state for step in (await records(desk))[0].timeline] == ["detected", "crediting", "credited"]
    assert len(await desk.events("deposit_detected")) == 1


async def test_what_vanishes_is_orphaned_and_asks_for_nothing_and_counts_when_it_comes_after_all(
    desk: Desk, billing: FakeBilling, mine: Address
) -> None:
    made = transfer(1, mine, 2 * USDT)
    await desk.see(100, (made, mine))
    await desk.take(99)
    assert desk.states() == {"confirming": 1}

    await desk.take(100)

    assert desk.states() == {"orphaned": 1}
    assert len(await eventually(lambda: desk.events("deposit_orphaned"), "told")) == 1
    assert billing.asked == []
    assert await desk.take(105, (made, mine)) == 1
    await eventually(lambda: desk.states() == {"credited": 1}, "credited")


async def test_money_below_the_minimum_waits_at_its_address_and_is_credited_together(
    desk: Desk, billing: FakeBilling, mine: Address
) -> None:
    other = desk.address(2, "acc_2")
    await desk.take(100, (transfer(1, mine, 400_000), mine), (transfer(2, other, 999_999), other))
    await desk.take(101, (transfer(3, mine, 500_000), mine))
    assert desk.states() == {"below_minimum": 3}

    await desk.take(102, (transfer(4, mine, 100_000), mine))

    await eventually(lambda: desk.states() == {"credited": 3, "below_minimum": 1}, "credited")
    assert sum(booked.amount_nanousd for booked in billing.ledger.values()) == 1_000_000_000
    assert {booked.account_id for booked in billing.ledger.values()} == {"acc_1"}


async def test_money_at_nobodys_address_is_in_suspense_until_it_is_assigned(desk: Desk, billing: FakeBilling) -> None:
    spare = desk.address(5)
    await desk.take(100, (transfer(1, spare, 7 * USDT), spare))
    await eventually(lambda: desk.sql("SELECT booked FROM deposits") == [(True,)], "in suspense")
    (record,) = await records(desk, None, states=("suspense",))
    assert record.account_id is None

    for _ in range(2):  # the second time is a retry
        assert (await decide(desk, record.deposit_id, "assign", "acc_9")).state in ("crediting", "credited")

    await eventually(lambda: desk.states() == {"credited": 1}, "credited")
    assert [(b.entry, b.account_id) for b in billing.ledger.values()] == [("suspend", "house"), ("assign", "acc_9")]
    with pytest.raises(DomainError, match="invalid_state"):
        await decide(desk, record.deposit_id, "assign", "acc_1")
    (seen,) = await records(desk, "acc_9")
    assert [(s.state, s.actor) for s in seen.timeline] == [
        ("suspense", ""),
        ("crediting", "op@example.com"),
        ("credited", ""),
    ]


@pytest.mark.parametrize(
    ("decision", "state", "booked"), [("release", "credited", "acc_1"), ("refuse", "suspense", "house")]
)
async def test_a_large_transfer_waits_for_an_operator(
    desk: Desk, billing: FakeBilling, mine: Address, decision: str, state: str, booked: str
) -> None:
    await desk.take(100, (transfer(1, mine, 10_001 * USDT), mine))
    (record,) = await records(desk, None, states=("under_review",))
    assert record.held_reason == "above_limit"
    assert len(await eventually(lambda: desk.events("deposit_held"), "told")) == 1
    assert billing.asked == []

    await decide(desk, record.deposit_id, decision)

    await eventually(lambda: desk.sql("SELECT state, booked FROM deposits") == [(state, True)], "decided")
    assert [b.account_id for b in billing.ledger.values()] == [booked]
    (asked,) = billing.asked
    event = msgspec.json.decode(asked.data, type=DepositConfirmed)
    assert (event.actor, event.reason) == ("op@example.com", "looked")


async def test_an_amount_that_no_ledger_can_book_is_kept_exactly(
    desk: Desk, billing: FakeBilling, mine: Address
) -> None:
    await desk.take(100, (transfer(1, mine, 2**256 - 1), mine))

    (record,) = await records(desk)
    assert (record.state, record.held_reason) == ("under_review", "amount_overflow")
    assert record.transfer.amount_micro_usdt == 2**256 - 1
    for decision in ("release", "refuse"):
        with pytest.raises(DomainError, match="invalid_state"):
            await decide(desk, record.deposit_id, decision)


async def test_records_are_listed_in_pages_without_a_gap(desk: Desk, billing: FakeBilling, mine: Address) -> None:
    other = desk.address(2, "acc_2")
    for height in range(100, 107):
        await desk.take(
            height, (transfer(height, mine, USDT), mine), (transfer(height, other, USDT, log_index=1), other)
        )

    found: list[str] = []
    before: str | None = None
    while True:
        request = d.ListRecords(account_id=None, limit=3, before=before)
        page = await call(desk.nc, d.RECORD_LIST, request, d.RecordPage, 5)
        found += [record.deposit_id for record in page.records]
        before = page.next_before
        if before is None:
            break

    assert len(found) == len(set(found)) == 14
    assert len(await records(desk)) == 7
    times = [record.transfer.block_time_ms for record in await records(desk)]
    assert times == sorted(times, reverse=True)


async def test_another_accounts_record_is_not_found(desk: Desk, billing: FakeBilling, mine: Address) -> None:
    await desk.take(100, (transfer(1, mine, USDT), mine))
    (record,) = await records(desk)

    for account_id, found in (("acc_1", True), (None, True), ("acc_2", False)):
        request = d.GetRecord(deposit_id=record.deposit_id, account_id=account_id)
        if found:
            assert (await call(desk.nc, d.RECORD_GET, request, d.DepositRecord, 5)).deposit_id == record.deposit_id
        else:
            with pytest.raises(DomainError, match="deposit_not_found"):
                await call(desk.nc, d.RECORD_GET, request, d.DepositRecord, 5)


async def test_a_request_that_makes_no_sense_is_refused(desk: Desk) -> None:
    with pytest.raises(DomainError, match="invalid_request"):
        await records(desk, before="1; DROP TABLE deposits")
    with pytest.raises(DomainError, match="invalid_request"):
        await decide(desk, "dep_1", "assign")
