"""Reconciliation on the sandbox chain: clean where all agree, and every kind of difference by name. Sweep export with it."""

from typing import Any

import pytest

from tests.integration.deposits.desk import USDT, Desk, FakeBilling, eventually
from tests.support.chain import Chain
from tt_common.bus.rpc import call
from tt_common.contracts import deposits as d
from tt_deposits.domain import sums
from tt_deposits.domain.base58 import address_text
from tt_deposits.domain.records import Address
from tt_deposits.usecases import reconcile_chain
from tt_deposits.usecases.book_again import book_again

ELSEWHERE = address_text(bytes(range(1, 21)))


class Scene:
    """Two addresses on the chain, a desk that knows them, and what happened so far."""

    def __init__(self, desk: Desk, chain: Chain, billing: FakeBilling) -> None:
        self.desk = desk
        self.chain = chain
        self.billing = billing
        # Each test has addresses of its own: the chain lasts.
        first = chain.head
        self.one = desk.address(first, "acc_1", checked_height=chain.head - 18)
        self.two = desk.address(first + 1, "acc_2", checked_height=chain.head - 18)

    def pay(self, address: Address, amount: int, **words: Any) -> str:
        return self.chain.send(address_text(address.address), amount, **words)["txid"]

    async def scan(self) -> None:
        """Everything becomes solid and is taken in, and billing has booked it."""
        self.chain.solidify()
        await self.desk.take_from(self.chain, [self.one, self.two])
        unbooked = "SELECT 1 FROM deposits WHERE entry <> '' AND NOT booked"
        await eventually(lambda: not self.desk.sql(unbooked), "booked")

    async def differences(self, *, whole: bool = False) -> list[tuple[str, str]]:
        report = await self.desk.reconcile(whole=whole)
        assert report.clean == (not report.differences)
        assert report.unchecked == ()
        return [(difference.check, difference.what) for difference in report.differences]


@pytest.fixture
async def scene(desk: Desk, chain: Chain, billing: FakeBilling, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(reconcile_chain, "RETRY_S", 0.01)
    made = Scene(desk, chain, billing)
    made.pay(made.one, 25 * USDT)
    made.pay(made.two, 300_000)
    made.pay(made.two, 20_000 * USDT)
    chain.send(ELSEWHERE, 5 * USDT, sender=address_text(made.one.address))
    await made.scan()
    return made


async def test_it_is_clean_where_chain_records_and_ledger_agree(scene: Scene) -> None:
    report = await scene.desk.reconcile()

    assert (report.clean, report.addresses, report.to_height) == (True, 2, scene.chain.head - 18)
    assert {total.state: total.amount_micro_usdt for total in report.sums} == {
        "credited": 25 * USDT,
        "below_minimum": 300_000,
        "under_review": 20_000 * USDT,
    }
    assert len(report.checks) == 7


async def test_the_next_one_goes_on_where_the_last_clean_one_ended(scene: Scene) -> None:
    first = await scene.desk.reconcile()
    scene.pay(scene.one, 2 * USDT)
    await scene.scan()

    second = await scene.desk.reconcile()

    assert second.from_height == (first.to_height or 0) + 1
    assert second.clean
    assert (await scene.desk.reconcile(whole=True)).from_height == first.from_height


async def test_failed_transactions_that_kept_their_logs_and_fake_tokens_are_no_difference(scene: Scene) -> None:
    scene.pay(scene.one, 7 * USDT, outcome="OUT_OF_TIME")
    scene.pay(scene.one, 8 * USDT, outcome="REVERT")
    scene.pay(scene.one, 9 * USDT, contract="fake")
    scene.pay(scene.one, 0)
    await scene.scan()

    assert await scene.differences(whole=True) == []


async def test_a_transfer_that_the_scanner_missed_is_found(scene: Scene) -> None:
    txid = scene.pay(scene.one, 7 * USDT)
    scene.chain.solidify()
    scene.desk.cursor(scene.chain.head - 18)

    found = dict(await scene.differences())

    assert txid in found[sums.RECEIVED_CHECK]
    assert found[sums.BALANCE_CHECK] == address_text(scene.one.address)
    assert len(found) == 2


async def test_a_transfer_that_left_and_is_not_in_the_records_is_found(scene: Scene) -> None:
    txid = scene.chain.send(ELSEWHERE, USDT, sender=address_text(scene.one.address))["txid"]
    scene.chain.solidify()
    scene.desk.cursor(scene.chain.head - 18)

    assert [check for check, what in await scene.differences() if txid in what] == [sums.SENT_CHECK]


async def test_a_deposit_that_the_chain_never_had_is_found(scene: Scene) -> None:
    scene.desk.sql("UPDATE deposits SET txid = decode(repeat('ab', 32), 'hex') WHERE state = 'credited'")

    found = await scene.differences()

    assert [check for check, _ in found] == [sums.RECEIVED_CHECK, sums.RECEIVED_CHECK]  # one lacks, one is too much


async def test_a_changed_amount_is_found_by_chain_sums_and_ledger(scene: Scene) -> None:
    scene.desk.sql("UPDATE deposits SET amount_micro_usdt = amount_micro_usdt + 1 WHERE state = 'credited'")

    checks = {check for check, _ in await scene.differences()}

    assert checks == {sums.RECEIVED_CHECK, sums.SUM_CHECK, sums.ADDRESS_CHECK, sums.LEDGER_CHECK}


async def test_a_balance_that_is_not_what_the_records_say_is_found(scene: Scene) -> None:
    scene.chain.fault("balance_wrong", "*", add_micro_usdt=-3)

    found = await scene.differences()

    assert {what for check, what in found if check == sums.BALANCE_CHECK} == {
        address_text(scene.one.address),
        address_text(scene.two.address),
    }


async def test_the_other_node_is_asked_and_what_it_lacks_is_no_ones_secret(scene: Scene) -> None:
    scene.chain.fault("logs_missing", "b")

    assert {check for check, _ in await scene.differences()} == {sums.RECEIVED_CHECK, sums.SENT_CHECK}


async def test_another_node_is_asked_where_one_gives_no_answer(scene: Scene) -> None:
    scene.chain.fault("error", "b", methods=["eth_getLogs"])

    assert await scene.differences() == []


async def test_a_chain_that_cant_be_asked_is_unchecked_and_neither_a_difference_nor_a_clean_report(
    scene: Scene,
) -> None:
    scene.chain.fault("error", "*", methods=["eth_getLogs"])

    report = await scene.desk.reconcile()

    assert (report.clean, report.differences) == (False, ())
    assert [what.split(":")[0] for what in report.unchecked] == ["node b", "node a"]


async def test_a_difference_stays_told_until_everything_was_compared_again(scene: Scene) -> None:
    # given
    scene.chain.fault("balance_wrong", "*", add_micro_usdt=-3)
    assert len((await scene.desk.reconcile()).differences) == 2
    found_at = _metric(scene, "reconciled_timestamp_seconds")

    # when the chain does not answer any more
    scene.chain.fault("error", "*", methods=["eth_getLogs"])
    scene.desk.late_ms = 5_000
    await scene.desk.reconcile()

    # then
    assert _metric(scene, "reconcile_differences") == 2
    assert _metric(scene, "reconciled_timestamp_seconds") == found_at

    # and when it does
    scene.chain.heal()
    await scene.desk.reconcile(whole=True)
    assert _metric(scene, "reconcile_differences") == 0
    assert _metric(scene, "reconciled_timestamp_seconds") >= found_at + 5


async def test_what_was_never_compared_ages_from_the_first_attempt(scene: Scene) -> None:
    scene.chain.fault("error", "*", methods=["eth_getLogs"])
    first = await scene.desk.reconcile()
    scene.desk.late_ms = 5_000
    await scene.desk.reconcile()

    assert _metric(scene, "reconciled_timestamp_seconds") == (first.made_at_ms or 0) / 1000 > 0


async def test_an_address_that_nobody_gets_since_a_restore_is_compared_too(scene: Scene) -> None:
    # given
    scene.desk.sql(
        "UPDATE addresses SET account_id = NULL, skipped_reason = 'restored' WHERE index = %s", scene.two.index
    )
    assert await scene.differences(whole=True) == []

    # when something comes there that the scanner missed
    txid = scene.pay(scene.two, 7 * USDT)
    scene.chain.solidify()
    scene.desk.cursor(scene.chain.head - 18)

    # then
    assert txid in dict(await scene.differences())[sums.RECEIVED_CHECK]


async def test_what_the_ledger_has_and_nobody_asked_for_is_found(scene: Scene) -> None:
    (booked,) = scene.billing.ledger.values()
    scene.billing.ledger["dep_other", "credit"] = _but(booked, seq=2, deposit_id="dep_other")
    scene.billing.ledger[booked.deposit_id, "suspend"] = _but(booked, seq=3, entry="suspend", account_id="house")

    assert await scene.differences() == [
        (sums.LEDGER_CHECK, "dep_other credit: unknown_deposit"),
        (sums.LEDGER_CHECK, f"{booked.deposit_id} suspend: not_asked"),
    ]


async def test_another_amount_or_account_in_the_ledger_is_found(scene: Scene) -> None:
    ((key, booked),) = scene.billing.ledger.items()

    scene.billing.ledger[key] = _but(booked, amount_nanousd=1)
    assert await scene.differences() == [(sums.LEDGER_CHECK, f"{booked.deposit_id} credit: other_amount")]
    scene.billing.ledger[key] = _but(booked, account_id="acc_2")
    assert await scene.differences() == [(sums.LEDGER_CHECK, f"{booked.deposit_id} credit: other_account")]


async def test_what_a_restored_ledger_forgot_is_asked_for_again_and_comes_back(scene: Scene) -> None:
    # given a deposit that was refused and assigned, beside the credited one
    (deposit_id,) = scene.desk.sql("SELECT deposit_id FROM deposits WHERE state = 'under_review'")[0]
    words: dict[str, Any] = {"deposit_id": deposit_id, "actor": "op", "reason": "known"}
    for decision, account_id in (("refuse", None), ("assign", "acc_3")):
        request = d.Decide(decision=decision, account_id=account_id, **words)  # pyright: ignore[reportArgumentType]
        await call(scene.desk.nc, d.RECORD_DECIDE, request, d.DepositRecord, 5)
        await eventually(
            lambda: not scene.desk.sql("SELECT 1 FROM deposits WHERE entry <> '' AND NOT booked"), "booked"
        )
    before = set(scene.billing.ledger)

    # when billing's database is from before all of it
    scene.billing.ledger.clear()
    found = await scene.differences()
    assert {check for check, _ in found} == {sums.BOOKED_CHECK}
    assert len(found) == len(before) == 3
    assert await book_again(scene.desk.context, 100) == 2

    # then all of it comes back, and nobody is told a second time
    await eventually(lambda: set(scene.billing.ledger) == before, "booked again")
    await eventually(lambda: not scene.desk.sql("SELECT 1 FROM deposits WHERE entry <> '' AND NOT booked"), "noted")
    assert await scene.differences() == []
    assert len(await scene.desk.events("deposit_credited")) == 2


async def test_a_billing_that_is_away_makes_no_clean_report_and_no_difference(scene: Scene) -> None:
    scene.billing.deaf = True

    report = await scene.desk.reconcile()

    assert (report.clean, report.differences) == (False, ())
    assert [what.split(":")[0] for what in report.unchecked] == ["billing's ledger"]


async def test_an_operator_asks_for_one_and_reads_it(scene: Scene) -> None:
    empty = await call(scene.desk.nc, d.RECONCILIATION_GET, d.GetReconciliation(), d.ReconciliationReport, 5)
    assert (empty.made_at_ms, empty.clean) == (None, False)

    asked = await call(scene.desk.nc, d.RECONCILE, d.RunReconciliation(actor="op"), d.ReconciliationReport, 5)
    assert asked.running

    async def done() -> d.ReconciliationReport | None:
        report = await call(scene.desk.nc, d.RECONCILIATION_GET, d.GetReconciliation(), d.ReconciliationReport, 5)
        return report if report.made_at_ms is not None and not report.running else None

    assert (await eventually(done, "a report")).clean


async def test_the_sweep_export_tells_what_records_and_chain_have(scene: Scene) -> None:
    page = await call(scene.desk.nc, d.SWEEP_EXPORT, d.ExportSweep(), d.SweepPage, 10)

    first, second = page.rows
    assert (first.address, first.path) == (
        address_text(scene.one.address),
        scene.desk.context.key.path(scene.one.index),
    )
    assert (first.received_micro_usdt, first.sent_micro_usdt, first.unswept_micro_usdt) == (
        25 * USDT,
        5 * USDT,
        20 * USDT,
    )
    assert (first.balance_micro_usdt, first.trx_balance_sun, first.activated) == (20 * USDT, 0, False)
    assert (second.balance_micro_usdt, second.account_id) == (20_000 * USDT + 300_000, "acc_2")
    assert (page.solid_height, page.next_after) == (scene.chain.head - 18, None)
    assert page.energy_fee_sun and page.energy_fee_sun > 0


async def test_the_sweep_export_comes_in_pages_and_without_balances_asks_no_node(scene: Scene) -> None:
    scene.chain.fault("status", "*")

    first = await call(scene.desk.nc, d.SWEEP_EXPORT, d.ExportSweep(limit=1, balances=False), d.SweepPage, 10)
    rest = d.ExportSweep(after=first.next_after or 0, limit=1, balances=False)
    second = await call(scene.desk.nc, d.SWEEP_EXPORT, rest, d.SweepPage, 10)

    assert [row.index for row in (*first.rows, *second.rows)] == [scene.one.index, scene.two.index]
    assert (first.rows[0].balance_micro_usdt, first.solid_height) == (None, None)


def _metric(scene: Scene, name: str) -> float:
    (found,) = (metric for metric in scene.desk.metrics.registry.collect() if metric.name.endswith(name))
    return found.samples[0].value


def _but(booked: Any, **changes: Any) -> Any:
    return type(booked)(**{name: getattr(booked, name) for name in booked.__struct_fields__} | changes)
