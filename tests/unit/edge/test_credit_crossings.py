"""Messages that cross: recalls, changes and closes in any order; streams that grow, and what they are told when they can't."""

import asyncio
from typing import Any

import pytest

from tests.unit.edge.billing_model import BillingModel
from tests.unit.edge.samples import key
from tt_common.contracts.grants import ChangeGrant, GrantReply, KeyTerms, Recall, RecallReply, Slices
from tt_common.errors import DomainError
from tt_edge.credit.grants import Hold, Need
from tt_edge.credit.keeper import CreditKeeper


async def reserve(keeper: CreditKeeper, nanousd: int) -> Hold:
    return await keeper.reserve(key(), "h", Need(nanousd, 10))


async def code_of(waiting: Any) -> str:
    with pytest.raises(DomainError) as caught:
        await waiting
    return caught.value.code


async def test_a_recall_that_crosses_a_change_loses_nothing_and_the_waiter_is_served() -> None:
    # given a change that billing has carried out and whose answer is still under way
    billing = BillingModel(1000)
    billing.extra = 500
    billing.before_reply.clear()
    keeper = billing.keeper()
    waiting = asyncio.create_task(reserve(keeper, 100))
    await billing.applied.wait()
    (grant_id,) = billing.grants

    # when the grant is recalled in that moment
    async def respond(reply: RecallReply) -> None:
        for shrink in reply.grants:
            billing._shrink(shrink)

    await keeper.recall(Recall(recall_id="r", grants=(grant_id, "not ours")), respond)
    assert billing.free == 400
    billing.before_reply.set()

    # then the call gets its hold from that change, and both sides agree
    hold = await waiting
    assert (len(billing.changes), hold.amount_nanousd) == (1, 100)
    assert hold.grant.granted_nanousd - hold.grant.back_nanousd == billing.grants[grant_id].amount == 600
    await keeper.recall(Recall(recall_id="r", grants=(grant_id,)), respond)
    assert (billing.free, billing.grants[grant_id].amount) == (900, 100)


async def test_a_recall_gives_back_what_is_free_and_keeps_holds_covered() -> None:
    # given two edges, the first with most of the wallet
    billing = BillingModel(1000)
    billing.extra = 800
    first, second = billing.keeper(), billing.keeper()
    hold = await reserve(first, 100)

    # when the second needs nearly all of the rest
    assert (await reserve(second, 890)).amount_nanousd == 890

    # then the first keeps its hold, and nothing more
    assert (hold.grant.free_nanousd, billing.grants[hold.grant.id].amount) == (0, 100)


async def test_a_stream_grows_from_the_grant_then_from_billing_then_not() -> None:
    # given a hold of 100 on a grant of 150, and 350 more in the wallet
    billing = BillingModel(500)
    billing.extra = 50
    keeper = billing.keeper()
    hold = await reserve(keeper, 100)
    billing.extra = 0

    # then
    await keeper.extend(hold, 50)
    assert len(billing.changes) == 1
    await keeper.extend(hold, 300)
    assert await code_of(keeper.extend(hold, 51)) == "billing_shortfall"
    assert (hold.amount_nanousd, billing.free) == (450, 50)


async def test_a_stream_that_billing_does_not_answer_is_told_so() -> None:
    # given a stream on a spent grant while billing is away
    billing = BillingModel(500)
    keeper = billing.keeper(wait_s=0.2)
    hold = await reserve(keeper, 100)
    billing.away = True

    # then it can't grow, and it can once billing is back
    assert await code_of(keeper.extend(hold, 1)) == "billing_unavailable"
    billing.away = False
    await keeper.extend(hold, 400)
    assert (hold.amount_nanousd, billing.free) == (500, 0)


async def test_a_stream_is_told_of_its_keys_limit_and_of_no_other_trouble() -> None:
    billing = BillingModel(500)
    keeper = billing.keeper()
    hold = await reserve(keeper, 100)
    for code, told in (("api_key_quota_exceeded", "api_key_quota_exceeded"), ("internal", "billing_unavailable")):
        billing.refuse_with = DomainError(code, "why")
        assert await code_of(keeper.extend(hold, 1)) == told
    assert hold.amount_nanousd == 100


async def test_a_stream_whose_grant_is_recalled_while_it_grows_asks_for_the_rest() -> None:
    # given a stream that asks for 160 because 40 of the 200 it needs are free on its grant
    billing = BillingModel(1000)
    billing.extra = 40
    keeper = billing.keeper()
    hold = await reserve(keeper, 100)
    billing.extra = 0
    billing.applied.clear()
    billing.before_reply.clear()
    growing = asyncio.create_task(keeper.extend(hold, 200))
    await billing.applied.wait()
    assert billing.changes[-1].need_nanousd == 160

    # when a recall takes those 40 before the answer is there
    async def respond(reply: RecallReply) -> None:
        for shrink in reply.grants:
            billing._shrink(shrink)

    await keeper.recall(Recall(recall_id="r", grants=(hold.grant.id,)), respond)
    billing.before_reply.set()

    # then it grows all the same
    await growing
    assert (hold.amount_nanousd, billing.free, billing.grants[hold.grant.id].amount) == (300, 700, 300)


async def test_real_usage_above_its_hold_costs_the_next_call_one_change() -> None:
    # given a call that used 130 on a grant of 100
    billing = BillingModel(1000)
    billing.overused = 30
    keeper = billing.keeper()
    first = await reserve(keeper, 100)
    keeper.settle(first, 130, 10)
    assert first.grant.free_nanousd == -30

    # when the next call comes
    hold = await reserve(keeper, 50)

    # then one change, of its need and the 30, is enough
    assert hold.grant is first.grant
    assert [change.need_nanousd for change in billing.changes] == [100, 80]


async def test_a_close_that_overtakes_its_open_leaves_no_money_held() -> None:
    # given an open that is so late that its call was given up
    billing = BillingModel(1000)
    billing.away = True
    keeper = billing.keeper(wait_s=0.15)
    assert await code_of(reserve(keeper, 100)) == "billing_unavailable"
    late = ChangeGrant(
        grant_id=next(iter(keeper._grants)),
        revision=1,
        key=KeyTerms(key_id="key_1", account_id="acc_1", revision=1),
        edge_id="edge",
        boot_epoch="epoch0",
        need_nanousd=100,
        need=Slices(),
    )

    # when the edge closes the grant, and then the open arrives after all
    billing.away = False
    await keeper.close(1)

    # then
    assert await code_of(billing.change_grant(late, 1)) == "grant_ended"
    assert (billing.free, keeper.open_grants, billing.grants[late.grant_id].final_events) == (1000, 0, 0)


async def test_a_fault_in_the_line_refuses_the_waiting_calls_and_does_not_spin() -> None:
    # given a reply that nobody expected
    billing = BillingModel(wallet=1000)
    keeper = billing.keeper()
    asked = 0

    async def broken(*_: object) -> GrantReply:
        nonlocal asked
        asked += 1
        raise TypeError("a reply of another kind")

    billing.change_grant = broken  # pyright: ignore[reportAttributeAccessIssue]
    # when a call waits for it
    with pytest.raises(DomainError) as refused:
        await reserve(keeper, 100)
    # then it is refused at once, and nobody asks again for it
    assert refused.value.code == "billing_unavailable"
    await asyncio.sleep(0.05)
    assert asked == 1
