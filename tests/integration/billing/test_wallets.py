"""Adjustments, direct holds, prices and alerts over RPC."""

import asyncio

import msgspec
import pytest

from tests.integration.billing.conftest import USD, Billing, FakeEdge, eventually, shrunk
from tt_common.bus.rpc import call
from tt_common.contracts import wallets as w
from tt_common.contracts.events import WalletLow
from tt_common.contracts.records import PriceRecord, price_key
from tt_common.contracts.streams import BILLING, CATALOG
from tt_common.errors import DomainError
from tt_common.rating import Price, Rates


async def test_an_adjustment_has_one_effect_a_request_id(billing: Billing) -> None:
    request = w.AdjustWallet(request_id="r1", account_id="acc_1", amount_nanousd=500, reason="gift", actor="op")
    first, second = await asyncio.gather(
        *(call(billing.nc, w.WALLET_ADJUST, request, w.WalletState, 5) for _ in range(2))
    )
    assert first == second
    assert first.available_nanousd == 500
    with pytest.raises(DomainError, match="idempotency_conflict"):
        other = msgspec.structs.replace(request, amount_nanousd=501)
        await call(billing.nc, w.WALLET_ADJUST, other, w.WalletState, 5)
    with pytest.raises(DomainError, match="billing_shortfall"):
        await billing.credit("acc_1", -501)
    await billing.credit("acc_1", -200)
    page = await call(billing.nc, w.WALLET_ENTRIES, w.ListEntries(account_id="acc_1", limit=1), w.EntryPage, 5)
    assert [(e.debit, e.credit, e.amount_nanousd) for e in page.entries] == [("available", "adjustments", 200)]
    older = w.ListEntries(account_id="acc_1", before=page.next_before)
    page = await call(billing.nc, w.WALLET_ENTRIES, older, w.EntryPage, 5)
    assert [(e.debit, e.credit, e.details) for e in page.entries] == [
        ("adjustments", "available", {"reason": "gift", "actor": "op"})
    ]
    await billing.check_books()


async def test_a_low_balance_is_told_once_a_fall(billing: Billing) -> None:
    configure = w.ConfigureWallet(account_id="acc_1", overdraft_nanousd=0, low_balance_nanousd=100)
    await billing.credit("acc_1", 500)
    await call(billing.nc, w.WALLET_CONFIGURE, configure, w.WalletState, 5)
    for amount in (-450, -10, 100, -100):
        await billing.credit("acc_1", amount)
    subscription = await billing.nc.jetstream().subscribe("billing.v1.wallet_low.acc_1", stream=BILLING.name)
    balances = []
    for _ in range(2):
        message = await subscription.next_msg(timeout=5)
        balances.append(msgspec.json.decode(message.data, type=WalletLow).balance_nanousd)
        assert (message.headers or {})["ce-type"] == "billing.wallet_low.v1"
    assert balances == [50, 40]
    with pytest.raises(TimeoutError):
        await subscription.next_msg(timeout=0.4)
    await subscription.unsubscribe()


async def test_a_direct_hold_is_placed_once_captured_once_and_the_rest_is_free(billing: Billing) -> None:
    await billing.credit("acc_1", 1000)
    place = w.PlaceHold(hold_id="h1", account_id="acc_1", key_id="key_1", amount_nanousd=600, ttl_s=60, reason="a task")
    for _ in range(2):
        assert (await call(billing.nc, w.HOLD_PLACE, place, w.HoldState, 5)).state == "open"
    assert await billing.wallet("acc_1") == (400, 600)
    with pytest.raises(DomainError, match="hold_over_capture"):
        over = w.CaptureHold(hold_id="h1", account_id="acc_1", amount_nanousd=601)
        await call(billing.nc, w.HOLD_CAPTURE, over, w.HoldState, 5)
    capture = w.CaptureHold(hold_id="h1", account_id="acc_1", amount_nanousd=250)
    for _ in range(2):
        state = await call(billing.nc, w.HOLD_CAPTURE, capture, w.HoldState, 5)
        assert (state.state, state.captured_nanousd) == ("captured", 250)
    assert await billing.wallet("acc_1") == (750, 0)
    with pytest.raises(DomainError, match="hold_ended"):
        release = w.ReleaseHold(hold_id="h1", account_id="acc_1")
        await call(billing.nc, w.HOLD_RELEASE, release, w.HoldState, 5)
    await billing.check_books()


async def test_a_direct_hold_recalls_money_and_expires(billing: Billing) -> None:
    edge = FakeEdge(billing)
    await edge.start()
    await billing.credit("acc_1", 1000)
    await billing.change("g1", need_nanousd=900)
    edge.shrinks["g1"] = lambda: shrunk("g1", 800)
    place = w.PlaceHold(hold_id="h1", account_id="acc_1", key_id="key_1", amount_nanousd=900, ttl_s=1, reason="t")
    await call(billing.nc, w.HOLD_PLACE, place, w.HoldState, 5)
    assert await billing.wallet("acc_1") == (0, 1000)
    await eventually(lambda: billing.rows("SELECT state FROM holds") == [("expired",)])
    assert await billing.wallet("acc_1") == (900, 100)
    await billing.check_books()


async def test_a_price_is_immutable_versioned_and_reaches_the_bucket(billing: Billing) -> None:
    def publish(rate: int) -> w.PublishPrice:
        return w.PublishPrice(model="m/1", rates=Rates(input=rate), actor="op")

    one = await call(billing.nc, w.PRICE_PUBLISH, publish(5), Price, 5)
    same = await call(billing.nc, w.PRICE_PUBLISH, publish(5), Price, 5)
    two = await call(billing.nc, w.PRICE_PUBLISH, publish(6), Price, 5)
    assert (one.version, same, two.version) == ("m/1@1", one, "m/1@2")
    with pytest.raises(DomainError, match="invalid_price"):
        await call(billing.nc, w.PRICE_PUBLISH, publish(-1), Price, 5)

    js = billing.nc.jetstream()

    async def record() -> PriceRecord:
        message = await js.get_last_msg(CATALOG.stream, CATALOG.subject(price_key("m/1")))
        return msgspec.json.decode(message.data or b"", type=PriceRecord)

    await eventually(lambda: _is(record, 2))
    assert [price.version for price in (await record()).versions] == ["m/1@2"]
    listed = await call(billing.nc, w.PRICE_LIST, w.ListPrices(model="m/1"), w.PriceList, 5)
    assert [price.version for price in listed.prices] == ["m/1@1", "m/1@2"]


async def _is(record: object, revision: int) -> bool:
    return (await record()).revision == revision  # pyright: ignore[reportCallIssue]


async def test_the_spend_of_keys_is_told_for_the_present_month(billing: Billing) -> None:
    await billing.credit("acc_1", USD)
    await billing.change("g1", need_nanousd=900)
    await billing.publish(billing.usage(300, "g1"))
    await billing.settled(1)
    request = w.GetKeySpend(key_ids=("key_1", "key_2"))
    spend = await call(billing.nc, w.KEY_SPEND, request, w.KeySpendList, 5)
    assert [(k.key_id, k.spent_nanousd, k.held_nanousd) for k in spend.keys] == [("key_1", 300, 600), ("key_2", 0, 0)]


async def test_ids_that_no_row_can_hold_are_refused_alone(billing: Billing) -> None:
    with pytest.raises(DomainError, match="invalid_request"):
        await billing.change("g\x00", need_nanousd=1)
