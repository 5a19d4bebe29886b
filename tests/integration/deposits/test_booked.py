"""Billing's answers: noted once, believed only where they fit, asked for again until they come."""

import pytest

from tests.integration.deposits.desk import USDT, Desk, FakeBilling, eventually, transfer
from tests.support.broker import fresh_streams
from tt_common.contracts.streams import BILLING, billing_subject
from tt_common.contracts.wallets import BookedDeposit
from tt_deposits.domain.records import Address
from tt_deposits.usecases.book_again import book_again

SECOND_MS = 1_000


def refused(desk: Desk, reason: str) -> float:
    return desk.metrics.refused_answers.labels(reason)._value.get()


async def ask_again(desk: Desk) -> int:
    return await book_again(desk.context, 100)


async def test_an_answer_that_comes_twice_credits_once(desk: Desk, billing: FakeBilling, mine: Address) -> None:
    await desk.take(100, (transfer(1, mine, USDT), mine))
    await eventually(lambda: desk.states() == {"credited": 1}, "credited")
    (booked,) = billing.ledger.values()

    await billing.answer(booked)
    await eventually(lambda: desk.sql("SELECT sequence FROM stream_positions") == [(2,)], "the second one is settled")

    assert len(desk.sql("SELECT * FROM deposit_changes")) == 2
    assert len(await eventually(lambda: desk.events("deposit_credited"), "told")) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"amount_nanousd": USDT * 1000 + 1}, "other_amount"),
        ({"account_id": "acc_2"}, "other_account"),
        ({"entry": "suspend", "account_id": "house"}, "not_asked"),
        ({"deposit_id": "dep_unknown"}, "unknown_deposit"),
    ],
)
async def test_an_answer_to_something_else_changes_nothing(
    desk: Desk, billing: FakeBilling, mine: Address, changes: dict[str, object], reason: str
) -> None:
    billing.deaf = True
    await desk.take(100, (transfer(1, mine, USDT), mine))
    (deposit_id,) = desk.sql("SELECT deposit_id FROM deposits")[0]
    booked = BookedDeposit(
        seq=1,
        deposit_id=deposit_id,
        entry="credit",
        account_id="acc_1",
        amount_nanousd=USDT * 1000,
        transaction_id="txn-1",
        booked_at_ms=7,
    )

    await billing.answer(booked, **changes)
    await billing.answer(booked)

    await eventually(lambda: desk.states() == {"credited": 1}, "the right answer is believed")
    await eventually(lambda: refused(desk, reason) == 1, "counted")
    assert len(await eventually(lambda: desk.events("deposit_credited"), "told")) == 1


async def test_what_is_no_answer_is_terminated_and_holds_up_nothing(
    desk: Desk, billing: FakeBilling, mine: Address
) -> None:
    js = desk.nc.jetstream()
    for payload in (b"", b"{}", b"\xff", b'{"deposit_id": "\\u0000"}'):
        await js.publish(billing_subject("deposit_booked", "acc_1"), payload)

    await desk.take(100, (transfer(1, mine, USDT), mine))

    await eventually(lambda: desk.states() == {"credited": 1}, "credited")
    await eventually(lambda: refused(desk, "unreadable") == 4, "counted")
    await eventually(lambda: _settled(desk), "nothing waits")


@pytest.mark.parametrize("point", ["before_booked_commit", "after_booked_commit_before_ack"])
async def test_an_answer_is_noted_once_when_the_process_dies_around_its_commit(
    desk: Desk, billing: FakeBilling, mine: Address, point: str
) -> None:
    passes: list[str] = []

    def die_once(passed: str) -> None:
        if passed == point:
            passes.append(passed)
            if len(passes) == 1:
                raise RuntimeError("died here")

    desk.crash = die_once
    await desk.take(100, (transfer(1, mine, USDT), mine))

    await eventually(lambda: len(passes) == 2, "it was delivered again")
    await eventually(lambda: desk.states() == {"credited": 1}, "credited")
    assert len(desk.sql("SELECT * FROM deposit_changes")) == 2
    assert len(await eventually(lambda: desk.events("deposit_credited"), "told")) == 1


async def test_billing_is_asked_again_less_and_less_often_with_the_same_event(
    desk: Desk, billing: FakeBilling, mine: Address
) -> None:
    billing.deaf = True
    await desk.take(100, (transfer(1, mine, USDT), mine))
    await eventually(lambda: len(billing.asked) == 1, "asked")

    asked_after_s: list[int] = []
    waited_s = 0
    for second in range(0, 1400, 5):
        desk.late_ms = second * SECOND_MS
        if await ask_again(desk):
            asked_after_s.append(second - waited_s)
            waited_s = second

    assert asked_after_s[:6] == [15, 30, 60, 120, 240, 300]
    await eventually(lambda: len(billing.asked) == 1 + len(asked_after_s), "the broker let all of them through")
    assert len({message.data for message in billing.asked}) == 1
    assert len({(message.headers or {})["ce-id"] for message in billing.asked}) == 1
    assert len({(message.headers or {})["Nats-Msg-Id"] for message in billing.asked}) == len(billing.asked)


async def test_a_bus_that_lost_its_storage_before_billing_read_it_heals_by_itself(
    desk: Desk, billing: FakeBilling, mine: Address
) -> None:
    billing.deaf = True
    await desk.take(100, (transfer(1, mine, USDT), mine))
    await eventually(lambda: billing.asked, "asked")
    await fresh_streams(desk.nc.jetstream())
    billing.deaf = False

    desk.late_ms = 16 * SECOND_MS
    assert await ask_again(desk) == 1

    await eventually(lambda: desk.states() == {"credited": 1}, "credited")
    assert await ask_again(desk) == 0


async def test_what_billing_has_answered_is_not_asked_again(desk: Desk, billing: FakeBilling, mine: Address) -> None:
    await desk.take(100, (transfer(1, mine, USDT), mine), (transfer(2, mine, 20_000 * USDT), mine))
    await eventually(lambda: desk.states() == {"credited": 1, "under_review": 1}, "credited")

    desk.late_ms = 3_600 * SECOND_MS

    assert await ask_again(desk) == 0


async def test_answers_are_read_again_when_the_database_is_older_than_the_stream(
    desk: Desk, billing: FakeBilling, mine: Address
) -> None:
    await desk.take(100, (transfer(1, mine, USDT), mine))
    await eventually(lambda: desk.states() == {"credited": 1}, "credited")
    await eventually(lambda: _settled(desk), "acknowledged")
    await desk.stop_listening()
    # what a backup from before the answer knows
    desk.sql("DELETE FROM stream_positions")
    desk.sql("UPDATE deposits SET state = 'crediting', booked = false, transaction_id = NULL, credited_at_ms = NULL")

    await desk.listen()

    assert desk.read_again
    await eventually(lambda: desk.states() == {"credited": 1}, "credited again")


async def _settled(desk: Desk) -> bool:
    info = await desk.nc.jetstream().consumer_info(BILLING.name, "deposits-booked")
    return info.num_pending == 0 and info.num_ack_pending == 0
