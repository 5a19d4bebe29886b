"""Slices of a key's limits: how much is asked for, and when, so that calls don't wait for billing."""

import asyncio
from typing import Any

import pytest

from tests.unit.edge.billing_model import BillingModel, Clock
from tests.unit.edge.samples import key
from tt_edge.credit.grants import NO_SLICES, Hold, Need
from tt_edge.credit.keeper import CreditKeeper


async def reserve(keeper: CreditKeeper, nanousd: int, **terms: Any) -> Hold:
    return await keeper.reserve(key(**terms), "h", Need(nanousd, 10))


async def settled_down() -> None:
    """Let background work that needs no time come to its end."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_limited_key_asks_for_what_the_next_seconds_need_and_not_for_each_call() -> None:
    # given a key with limits
    billing = BillingModel(1_000_000)
    billing.extra = 100_000
    clock = Clock()
    keeper = billing.keeper(clock)

    # when it calls ten times a second for ten seconds, 10 tokens each
    for _ in range(100):
        clock.added_s += 0.1
        await reserve(keeper, 1, requests_per_minute=6_000, tokens_per_minute=60_000)

    # then nearly every call finds its slice in hand, and no slice is for more than ten seconds of such calls
    assert len(billing.changes) < 15
    assert max(change.want.requests for change in billing.changes) in range(50, 111)
    assert max(change.want.tokens for change in billing.changes) in range(500, 1_101)


@pytest.mark.parametrize("terms", [{"requests_per_minute": 6_000}, {"tokens_per_minute": 60_000}])
async def test_a_limits_next_slice_is_fetched_in_the_background_at_a_fifth_left(terms: dict[str, Any]) -> None:
    # given a limited key that has called ten times a second for a while
    billing = BillingModel(10**9)
    billing.extra = 10**6
    clock = Clock()
    keeper = billing.keeper(clock)
    for _ in range(30):
        clock.added_s += 0.1
        await reserve(keeper, 1, **terms)
    hold = await reserve(keeper, 1, **terms)
    changes = len(billing.changes)
    billing.before_reply.clear()

    # when billing is slow, until a fifth of the slice is left
    while len(billing.changes) == changes:
        async with asyncio.timeout(0.5):  # no call waits
            hold = await reserve(keeper, 1, **terms)
        await settled_down()

    # then one more slice was asked for, by no need, while there was still room
    assert billing.changes[-1].need == NO_SLICES
    assert billing.changes[-1].want.requests > 0 or billing.changes[-1].want.tokens > 0
    assert hold.grant.missing_slices(10, clock()) == NO_SLICES
    billing.before_reply.set()
    await settled_down()
    assert len(billing.changes) == changes + 1


async def test_a_limited_key_that_calls_now_and_then_waits_only_for_its_first_call() -> None:
    # given a key with limits that calls every three seconds, so that its slices are of a few calls
    billing = BillingModel(10**9)
    billing.extra = 10**6
    clock = Clock()
    keeper = billing.keeper(clock)

    # when
    for _ in range(60):
        clock.added_s += 3.0
        await keeper.upkeep()
        await reserve(keeper, 1, requests_per_minute=600, tokens_per_minute=60_000)
        await settled_down()

    # then each slice but the first was asked for before a call had to wait for it
    waited = [change for change in billing.changes if change.need != NO_SLICES]
    assert len(waited) == 1
    assert len(billing.changes) > 10


async def test_a_call_that_waits_asks_for_another_like_it_too() -> None:
    # given a key with limits that has not called for a long time
    billing = BillingModel(10**9)
    clock = Clock()
    keeper = billing.keeper(clock)
    terms = {"requests_per_minute": 600, "tokens_per_minute": 60_000}
    keeper.settle(await reserve(keeper, 5, **terms), 5, 10)
    clock.added_s += 1_000

    # when
    await reserve(keeper, 100, **terms)

    # then what it wishes for beyond its need is enough for the next one
    wish = billing.changes[-1]
    assert (wish.need_nanousd, wish.want_nanousd) == (100, 200)
    assert (wish.want.requests, wish.want.tokens) == (2, 20)


async def test_a_key_without_limits_asks_for_no_slices() -> None:
    billing = BillingModel(1_000_000)
    keeper = billing.keeper()

    await reserve(keeper, 100)

    assert billing.changes[-1].want == NO_SLICES
