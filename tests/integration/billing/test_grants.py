"""Grants over RPC: what is promised, given back, recalled, limited, lost."""

import asyncio

import pytest

from tests.integration.billing.conftest import USD, Billing, FakeEdge, eventually, key_terms, shrunk
from tt_common.bus.rpc import call
from tt_common.contracts import grants as g
from tt_common.contracts import wallets as w
from tt_common.errors import DomainError


async def test_a_grant_opens_extends_shrinks_and_ends_with_its_last_event(billing: Billing) -> None:
    await billing.price_of_one()
    await billing.credit("acc_1", 10 * USD)

    opened = await billing.change("g1", need_nanousd=1000, want_nanousd=5000)
    assert opened.granted_nanousd == 5000
    extended = await billing.change("g1", 2, need_nanousd=2000)
    assert extended.granted_nanousd == 7000
    assert await billing.wallet("acc_1") == (10 * USD - 7000, 7000)

    await billing.shrink(shrunk("g1", 6000))
    assert await billing.wallet("acc_1") == (10 * USD - 1000, 1000)

    await billing.shrink(shrunk("g1", 6400, final=2))
    await billing.publish(billing.usage(500, "g1"))
    await billing.settled(1)
    assert await billing.wallet("acc_1") == (10 * USD - 600, 100)
    await billing.publish(billing.usage(100, "g1"))
    await billing.settled(2)
    assert await billing.wallet("acc_1") == (10 * USD - 600, 0)
    assert billing.rows("SELECT state FROM grants") == [("ended",)]
    with pytest.raises(DomainError, match="grant_ended"):
        await billing.change("g1", 5, need_nanousd=1)
    await billing.check_books()


async def test_a_repeated_change_is_answered_with_the_state_and_an_older_one_is_stale(billing: Billing) -> None:
    await billing.credit("acc_1", USD)
    first = await billing.change("g1", need_nanousd=1000)
    again = await billing.change("g1", need_nanousd=1000)
    assert again.granted_nanousd == first.granted_nanousd == 1000
    await billing.change("g1", 2, need_nanousd=10)
    with pytest.raises(DomainError, match="stale_revision"):
        await billing.change("g1", 1, need_nanousd=1000)


async def test_shrinks_may_come_twice_and_in_any_order_and_for_no_grant_at_all(billing: Billing) -> None:
    await billing.credit("acc_1", USD)
    await billing.change("g1", need_nanousd=1010)
    await billing.shrink(shrunk("g1", 1005), shrunk("g1", 400), shrunk("g1", 1005), shrunk("nobody", 7))
    await billing.shrink(shrunk("g1", 1004))
    assert await billing.wallet("acc_1") == (USD - 5, 5)
    assert billing.rows("SELECT grant_id FROM grants") == [("g1",)]
    assert (await billing.change("g1", 2, need_nanousd=20)).granted_nanousd == 1030
    await billing.shrink(shrunk("g1", 1005))
    assert await billing.wallet("acc_1") == (USD - 25, 25)
    await billing.check_books()


async def test_a_close_that_overtakes_its_open_ends_it_and_leaves_no_money_held(billing: Billing) -> None:
    await billing.credit("acc_1", USD)
    await billing.shrink(shrunk("g1", final=0))
    with pytest.raises(DomainError, match="grant_ended"):
        await billing.change("g1", need_nanousd=1000)
    await billing.shrink(shrunk("g1", final=0))
    assert await billing.wallet("acc_1") == (USD, 0)
    assert billing.rows("SELECT state, held_nanousd FROM grants") == [("ended", 0)]
    await billing.check_books()


async def test_many_opens_at_once_never_promise_more_than_the_wallet_has(billing: Billing) -> None:
    await billing.start()  # two processes share the database
    await billing.credit("acc_1", 100_000)
    opens = [billing.change(f"g{i}", need_nanousd=2000) for i in range(60)]
    results = await asyncio.gather(*opens, return_exceptions=True)
    granted = [r.granted_nanousd for r in results if isinstance(r, g.GrantReply)]
    codes = {r.code for r in results if isinstance(r, DomainError)}
    assert sum(granted) <= 100_000
    assert codes == {"grant_incomplete_knowledge"}  # nobody answered the recalls
    await billing.check_books()


async def test_a_recall_finds_the_money_that_other_grants_do_not_need(billing: Billing) -> None:
    edge = FakeEdge(billing)
    await edge.start()
    await billing.credit("acc_1", 100_000)
    await billing.change("g1", need_nanousd=90_000)
    edge.shrinks["g1"] = lambda: shrunk("g1", 60_000)

    reply = await billing.change("g2", need_nanousd=60_000)

    assert reply.granted_nanousd == 60_000
    assert await billing.wallet("acc_1") == (10_000, 90_000)
    with pytest.raises(DomainError) as refused:
        edge.shrinks["g2"] = lambda: shrunk("g2")
        await billing.change("g3", need_nanousd=10_001)
    assert refused.value.code == "billing_shortfall"
    assert refused.value.data == {"available_nanousd": 10_000, "need_nanousd": 10_001}


async def test_an_edge_that_has_not_seen_its_last_grant_yet_is_no_ground_for_a_402(billing: Billing) -> None:
    # given a grant that was extended, and an edge whose answer was on its way before it saw that
    edge = FakeEdge(billing)
    await edge.start()
    await billing.credit("acc_1", 100_000)
    await billing.change("g1", need_nanousd=50_000)
    await billing.change("g1", 2, need_nanousd=40_000)
    edge.shrinks["g1"] = lambda: shrunk("g1", 0, seen=50_000)
    # when another needs what may be unused there
    with pytest.raises(DomainError) as refused:
        await billing.change("g2", need_nanousd=30_000)
    # then nobody is told that the money is gone
    assert refused.value.code == "grant_incomplete_knowledge"


async def test_an_edge_that_does_not_answer_makes_the_knowledge_incomplete(billing: Billing) -> None:
    await billing.credit("acc_1", 100_000)
    await billing.change("g1", need_nanousd=90_000)
    started = asyncio.get_running_loop().time()
    with pytest.raises(DomainError) as refused:
        await billing.change("g2", need_nanousd=60_000)
    assert refused.value.code == "grant_incomplete_knowledge"
    assert asyncio.get_running_loop().time() - started < 1.0


async def test_an_empty_wallet_is_refused_at_once_and_an_overdraft_is_credit(billing: Billing) -> None:
    with pytest.raises(DomainError, match="billing_shortfall"):
        await billing.change("g1", need_nanousd=1)
    request = w.ConfigureWallet(account_id="acc_1", overdraft_nanousd=1000, low_balance_nanousd=None)
    await call(billing.nc, w.WALLET_CONFIGURE, request, w.WalletState, 5)
    await billing.change("g1", need_nanousd=1000)
    assert await billing.wallet("acc_1") == (-1000, 1000)
    await billing.check_books()


async def test_a_key_stops_at_its_monthly_limit_counting_spent_and_held(billing: Billing) -> None:
    await billing.price_of_one()
    edge = FakeEdge(billing)
    await edge.start()
    await billing.credit("acc_1", USD)
    key = key_terms(monthly_limit_nanousd=1000)
    first = await billing.change("g1", key=key, need_nanousd=600, want_nanousd=5000)
    assert first.granted_nanousd == 1000
    edge.shrinks["g1"] = lambda: shrunk("g1", 400)
    assert (await billing.change("g2", key=key, need_nanousd=400)).granted_nanousd == 400
    edge.shrinks["g2"] = lambda: shrunk("g2")
    with pytest.raises(DomainError) as refused:
        await billing.change("g3", key=key, need_nanousd=1)
    assert refused.value.code == "api_key_quota_exceeded"
    assert refused.value.data["limit_nanousd"] == 1000
    assert refused.value.data["remaining_nanousd"] == 0
    await billing.publish(billing.usage(500, "g1"))
    await billing.settled(1)
    assert billing.rows("SELECT spent_nanousd, held_nanousd FROM key_months") == [(500, 500)]
    await billing.check_books()


async def test_requests_per_minute_are_exact_over_edges_and_unused_slices_come_back(billing: Billing) -> None:
    edge = FakeEdge(billing)
    await edge.start()
    key = key_terms(requests_per_minute=10)
    first = await billing.change("g1", key=key, need=g.Slices(requests=8))
    assert (first.slices.requests, first.limits_remaining.requests) == (8, 2)
    edge.shrinks["g1"] = lambda: shrunk("g1", window=first.window, requests=3, requests_seen=8)

    second = await billing.change("g2", key=key, need=g.Slices(requests=5))
    assert (second.slices.requests, second.limits_remaining.requests) == (5, 0)
    edge.shrinks["g2"] = lambda: shrunk("g2", window=first.window, requests_seen=5)
    with pytest.raises(DomainError) as refused:
        await billing.change("g3", key=key, need=g.Slices(requests=1))
    assert refused.value.code == "rate_limit_exceeded"
    assert refused.value.data["limit_kind"] == "requests"
    assert 1 <= refused.value.data["retry_after_s"] <= 60


async def test_a_concurrency_of_one_is_one_until_it_is_given_back(billing: Billing) -> None:
    edge = FakeEdge(billing)
    await edge.start()
    key = key_terms(concurrency=1)
    await billing.change("g1", key=key, need=g.Slices(concurrency=1))
    edge.shrinks["g1"] = lambda: shrunk("g1")
    with pytest.raises(DomainError) as refused:
        await billing.change("g2", key=key, need=g.Slices(concurrency=1))
    assert refused.value.data == {"limit_kind": "concurrency", "limit": 1, "retry_after_s": 1}
    edge.shrinks["g1"] = lambda: shrunk("g1", concurrency=1)
    assert (await billing.change("g2", key=key, need=g.Slices(concurrency=1))).slices.concurrency == 1


async def test_a_silent_grant_is_lost_stays_held_and_ends_when_its_time_is_over(idle_billing: Billing) -> None:
    billing = idle_billing
    await billing.start(grant_soft_ttl_s=0.2, grant_hard_ttl_s=0.5, lost_grant_s=1.5)
    await billing.price_of_one()
    await billing.credit("acc_1", 100_000)
    await billing.change("g1", need_nanousd=5000)
    await eventually(lambda: billing.rows("SELECT state FROM grants") == [("lost",)])
    assert await billing.wallet("acc_1") == (95_000, 5000)
    with pytest.raises(DomainError, match="grant_incomplete_knowledge"):
        await billing.change("g2", need_nanousd=96_000)
    await eventually(lambda: billing.rows("SELECT state FROM grants") == [("ended",)])
    assert await billing.wallet("acc_1") == (100_000, 0)

    await billing.publish(billing.usage(3000, "g1"))  # late, and charged all the same
    await billing.settled(1)
    assert await billing.wallet("acc_1") == (97_000, 0)
    await billing.check_books()


async def test_a_lost_grant_is_found_again_by_its_edge(idle_billing: Billing) -> None:
    billing = idle_billing
    await billing.start(grant_soft_ttl_s=0.2, grant_hard_ttl_s=0.5)
    await billing.credit("acc_1", 100_000)
    await billing.change("g1", need_nanousd=5000)
    await eventually(lambda: billing.rows("SELECT state FROM grants") == [("lost",)])
    assert (await billing.change("g1", 2)).granted_nanousd == 5000
    assert billing.rows("SELECT state FROM grants") == [("open",)]


async def test_closing_an_epoch_ends_its_grants_when_its_events_are_in(billing: Billing) -> None:
    await billing.price_of_one()
    await billing.credit("acc_1", 100_000)
    await billing.change("g1", need_nanousd=5000)
    one, two = billing.usage(1000, "g1"), billing.usage(500, "g1")
    await billing.publish(two)
    close = g.CloseEpoch(edge_id="edge-1", boot_epoch=billing.epoch, last_seq=2, cost_nanousd=1500, reason="recovered")
    await call(billing.nc, g.EPOCHS_CLOSE, close, g.Ack, 5)
    assert billing.rows("SELECT state FROM grants") == [("open",)]
    await billing.publish(one)
    await eventually(lambda: billing.rows("SELECT state FROM grants") == [("ended",)])
    assert await billing.wallet("acc_1") == (98_500, 0)
    await billing.check_books()
