"""Credit at hand: when billing is asked, who waits, who is refused, and that everything is given back."""

import asyncio
from typing import Any

import pytest

from tests.unit.edge.billing_model import SOFT_TTL_S, BillingModel, Clock
from tests.unit.edge.samples import key
from tt_common.errors import DomainError
from tt_edge.credit.grants import Hold, Need
from tt_edge.credit.keeper import CreditKeeper

KEY = key()


async def reserve(keeper: CreditKeeper, nanousd: int, name: str = "h", **terms: Any) -> Hold:
    return await keeper.reserve(key(**terms), name, Need(nanousd, 10))


async def settled_down() -> None:
    """Let background work that needs no time come to its end."""
    for _ in range(20):
        await asyncio.sleep(0)


async def code_of(waiting: Any) -> str:
    with pytest.raises(DomainError) as caught:
        await waiting
    return caught.value.code


async def test_no_round_trip_while_a_hold_fits() -> None:
    # given a grant with room for many calls
    billing = BillingModel(1_000_000)
    billing.extra = 100_000
    keeper = billing.keeper()
    await reserve(keeper, 100)

    # when
    holds = [await reserve(keeper, 100) for _ in range(100)]

    # then
    assert len(billing.changes) == 1
    assert len({id(hold.grant) for hold in holds}) == 1


async def test_the_next_chunk_is_fetched_in_the_background_at_a_fifth_left() -> None:
    # given a grant of 1000
    billing = BillingModel(1_000_000)
    billing.extra = 900
    keeper = billing.keeper()
    for _ in range(8):
        await reserve(keeper, 100)
    await settled_down()
    assert len(billing.changes) == 1

    # when a call takes it below 200 while billing is slow
    billing.before_reply.clear()
    async with asyncio.timeout(0.5):
        await reserve(keeper, 1)

    # then that call did not wait, and one more chunk comes with no need of its own
    await settled_down()
    billing.before_reply.set()
    await settled_down()
    assert [change.need_nanousd for change in billing.changes] == [100, 0]


async def test_more_is_fetched_in_the_background_where_another_such_call_would_have_to_wait() -> None:
    # given a grant of 1000
    billing = BillingModel(1_000_000)
    billing.extra = 600
    keeper = billing.keeper()
    await reserve(keeper, 400)
    await settled_down()
    assert len(billing.changes) == 1

    # when a call leaves more than a fifth, but not enough for another one, and billing is slow
    billing.before_reply.clear()
    async with asyncio.timeout(0.5):
        await reserve(keeper, 350)

    # then neither that call waits nor, once billing has answered, the next
    await settled_down()
    billing.before_reply.set()
    await settled_down()
    assert [change.need_nanousd for change in billing.changes] == [400, 0]
    async with asyncio.timeout(0.5):
        await reserve(keeper, 350)
    assert [change.need_nanousd for change in billing.changes] == [400, 0]


async def test_a_billing_that_has_forgotten_a_grant_opens_another_without_an_error() -> None:
    # given a grant of 1000, and a billing that was restored from a backup before it
    billing = BillingModel(1_000_000)
    billing.extra = 900
    keeper = billing.keeper()
    before = await reserve(keeper, 100)
    keeper.release(before)
    billing.grants.clear()
    billing.free = billing.wallet

    # when a call doesn't fit what is in hand
    hold = await reserve(keeper, 5000)

    # then it is held on a grant that billing knows
    assert hold.grant.id != before.grant.id
    assert [change.granted_seen_nanousd for change in billing.changes] == [0, 1000, 0]
    assert billing.grants.keys() == {hold.grant.id}


async def test_a_refresh_that_brought_nothing_is_not_tried_by_every_call() -> None:
    # given a wallet that has no more than the key's grant
    billing = BillingModel(1_000)
    billing.extra = 900
    keeper = billing.keeper()
    await reserve(keeper, 100)

    # when calls use up the last fifth of it
    for _ in range(100):
        await reserve(keeper, 1 if _ else 750)
        await settled_down()

    # then billing was asked for more once
    assert [change.need_nanousd for change in billing.changes] == [100, 0]


async def test_many_waiters_are_served_in_order_by_one_round_trip() -> None:
    # given a slow billing
    billing = BillingModel(1_000_000)
    billing.before_reply.clear()
    keeper = billing.keeper()
    done: list[int] = []

    async def call(number: int) -> None:
        await reserve(keeper, 100 + number)
        done.append(number)

    # when twenty calls arrive: the first is asked for at once, the others together
    tasks = [asyncio.create_task(call(number)) for number in range(20)]
    await settled_down()
    billing.before_reply.set()
    await asyncio.gather(*tasks)

    # then
    assert done == list(range(20))
    assert len(billing.changes) <= 2


async def test_only_those_are_refused_who_waited_when_billing_was_asked() -> None:
    # given a call that the wallet can't cover, under way
    billing = BillingModel(100)
    billing.before_reply.clear()
    keeper = billing.keeper()
    first = asyncio.create_task(reserve(keeper, 200))
    await billing.applied.wait()

    # when another comes, and the wallet is topped up, before the refusal of the first arrives
    second = asyncio.create_task(reserve(keeper, 200))
    await settled_down()
    billing.wallet, billing.free = 300, 300
    billing.before_reply.set()

    # then
    assert await code_of(first) == "billing_shortfall"
    assert (await second).amount_nanousd == 200


async def test_a_refused_call_takes_no_smaller_one_with_it() -> None:
    # given three calls in line, the first too dear
    billing = BillingModel(500)
    keeper = billing.keeper()
    tasks = [asyncio.create_task(reserve(keeper, size)) for size in (1000, 2000, 50)]
    assert await code_of(tasks[0]) == "billing_shortfall"
    assert await code_of(tasks[1]) == "billing_shortfall"
    assert (await tasks[2]).amount_nanousd == 50


async def test_a_shortfall_counts_what_the_edge_has_in_hand_itself() -> None:
    # given a wallet of 1000 of which 900 lie free on this edge's own grant
    billing = BillingModel(1000)
    keeper = billing.keeper()
    keeper.settle(await reserve(keeper, 900), 0, 0)

    # when a call asks for more than all of it
    with pytest.raises(DomainError) as caught:
        await reserve(keeper, 1500)

    # then the refusal names everything that is there, so that the call can be lowered to it
    assert caught.value.data == {"available_nanousd": 1000, "need_nanousd": 1500}
    assert (await reserve(keeper, 1000)).amount_nanousd == 1000


@pytest.mark.parametrize("turns", range(12))
async def test_a_waiter_that_is_cancelled_leaks_nothing(turns: int) -> None:
    # given a call that waits for billing
    billing = BillingModel(1000)
    billing.before_reply.clear()
    keeper = billing.keeper()
    waiting = asyncio.create_task(reserve(keeper, 100))
    await billing.applied.wait()

    # when it is cancelled a few turns of the loop after the answer came
    billing.before_reply.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    waiting.cancel()
    result = (await asyncio.gather(waiting, return_exceptions=True))[0]
    if isinstance(result, Hold):
        keeper.release(result)

    # then all is given back
    await keeper.close(2)
    assert billing.free == 1000
    assert keeper.open_grants == 0


async def test_an_idle_grant_is_closed_with_the_number_of_its_events() -> None:
    # given a grant with two settled calls and one that never happened
    clock = Clock()
    billing = BillingModel(1000)
    billing.extra = 500
    keeper = billing.keeper(clock)
    for cost in (30, 5):
        keeper.settle(await reserve(keeper, 100), cost, 10)
    keeper.release(await reserve(keeper, 100))
    await keeper.upkeep()
    assert keeper.open_grants == 1

    # when nothing happens for five seconds
    clock.added_s += 5
    await keeper.upkeep()

    # then
    assert keeper.open_grants == 0
    assert (billing.shrinks[-1].final_events, billing.free) == (2, 965)


async def test_an_idle_grant_with_a_running_call_keeps_only_its_hold() -> None:
    clock = Clock()
    billing = BillingModel(1000)
    billing.extra = 500
    keeper = billing.keeper(clock)
    hold = await reserve(keeper, 100)
    clock.added_s += 5
    await keeper.upkeep()
    assert (billing.free, billing.shrinks[-1].final_events, keeper.open_grants) == (900, None, 1)
    keeper.settle(hold, 60, 10)
    clock.added_s += 5
    await keeper.upkeep()
    assert (billing.free, billing.shrinks[-1].final_events, keeper.open_grants) == (940, 1, 0)


async def test_a_grant_in_use_is_renewed_before_its_soft_expiry() -> None:
    # given a long stream on a grant that is used all the time
    clock = Clock()
    billing = BillingModel(10_000)
    keeper = billing.keeper(clock)
    hold = await reserve(keeper, 100)

    # when most of the soft time is over
    for _ in range(5):
        clock.added_s += SOFT_TTL_S * 0.85
        hold.grant.last_used_at = clock()
        await keeper.upkeep()
        await settled_down()

    # then it still admits calls
    assert hold.grant.admits(clock())
    assert keeper.open_grants == 1


async def test_while_billing_is_away_the_grant_serves_on_and_nothing_is_given_back() -> None:
    # given
    clock = Clock()
    billing = BillingModel(10_000)
    billing.extra = 5000
    keeper = billing.keeper(clock, wait_s=0.3)
    await reserve(keeper, 100)
    billing.away = True

    # when idle time passes
    clock.added_s += 6
    await keeper.upkeep()

    # then
    assert (await reserve(keeper, 100)).amount_nanousd == 100
    assert keeper.open_grants == 1
    assert billing.shrinks == []


async def test_billing_is_asked_again_until_it_is_back() -> None:
    billing = BillingModel(10_000)
    billing.away = True
    keeper = billing.keeper(wait_s=2)
    waiting = [asyncio.create_task(reserve(keeper, 100)) for _ in range(5)]
    await asyncio.sleep(0.25)
    billing.away = False
    assert [hold.amount_nanousd for hold in await asyncio.gather(*waiting)] == [100] * 5


async def test_after_the_wait_is_over_the_call_is_refused_and_the_next_one_may_try() -> None:
    # given
    billing = BillingModel(10_000)
    billing.away = True
    clock = Clock()
    keeper = billing.keeper(clock, wait_s=0.3)

    # when
    began = clock()
    assert await code_of(reserve(keeper, 100)) == "billing_unavailable"

    # then
    assert 0.15 <= clock() - began < 0.8
    billing.away = False
    assert (await reserve(keeper, 100)).amount_nanousd == 100


@pytest.mark.parametrize("code", ["grant_incomplete_knowledge", "internal", "invalid_request", "something_new"])
async def test_trouble_between_services_is_billing_unavailable(code: str) -> None:
    billing = BillingModel(10_000)
    billing.refuse_with = DomainError(code, "secret detail")
    with pytest.raises(DomainError) as caught:
        await reserve(billing.keeper(), 100)
    assert caught.value.code == "billing_unavailable"
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("code", ["rate_limit_exceeded", "api_key_quota_exceeded"])
async def test_billings_own_refusals_reach_the_caller(code: str) -> None:
    billing = BillingModel(10_000)
    billing.refuse_with = DomainError(code, "why", limit_kind="requests", retry_after_s=7)
    with pytest.raises(DomainError) as caught:
        await reserve(billing.keeper(), 100)
    assert (caught.value.code, caught.value.data["retry_after_s"]) == (code, 7)


async def test_new_terms_of_a_key_go_to_billing_with_a_new_grant() -> None:
    # given a grant under revision 1
    billing = BillingModel(1000)
    billing.extra = 900
    keeper = billing.keeper()
    old = await reserve(keeper, 100)

    # when the key's record has changed, and nearly the whole wallet is asked for
    new = await reserve(keeper, 850, revision=2, monthly_limit_nanousd=5000)

    # then the old grant admits nothing more, and gave its free part to the new one
    assert billing.changes[-1].key.monthly_limit_nanousd == 5000
    assert new.grant is not old.grant
    assert billing.grants[old.grant.id].amount == 100
    keeper.settle(old, 1, 1)
    keeper.settle(new, 2, 1)
    await keeper.close(2)
    assert billing.free == 997


async def test_a_grant_that_billing_has_ended_is_replaced() -> None:
    billing = BillingModel(1000)
    keeper = billing.keeper()
    hold = await reserve(keeper, 100)
    billing.grants[hold.grant.id].closed = True
    again = await reserve(keeper, 100)
    assert again.grant is not hold.grant


async def test_a_concurrency_of_one_is_one_and_the_slot_comes_back() -> None:
    # given a key with one slot
    billing = BillingModel(10_000)
    keeper = billing.keeper()
    hold = await reserve(keeper, 100, concurrency=1)
    billing.refuse_with = DomainError("rate_limit_exceeded", "busy", limit_kind="concurrency", retry_after_s=1)

    # then a second call is refused until the first has ended, and then needs no round trip
    assert await code_of(reserve(keeper, 0, concurrency=1)) == "rate_limit_exceeded"
    keeper.settle(hold, 100, 10)
    asked = len(billing.changes)
    assert (await reserve(keeper, 0, concurrency=1)).amount_nanousd == 0
    assert len(billing.changes) == asked
