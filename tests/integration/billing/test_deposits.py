"""Confirmed deposits become credits exactly once, and are answered as often as they are asked for."""

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.integration.billing.conftest import APP, OWNER, USD, Billing, eventually
from tests.integration.billing.deposits import COUNT, DEPOSIT, answered, confirm, in_billing
from tests.unit.billing.deposit_events import confirmed
from tt_billing.consumers.deposits import DURABLE
from tt_billing.domain import deposits as domain
from tt_billing.domain.intake import PoisonEvent
from tt_billing.main.service import Service, make_context
from tt_billing.usecases import book_deposits
from tt_billing.usecases.retry_quarantined import retry_quarantined
from tt_common.bus.rpc import call
from tt_common.contracts import wallets as w
from tt_common.contracts.deposit_events import DepositConfirmed
from tt_common.contracts.events import WalletLow
from tt_common.contracts.streams import DEPOSITS
from tt_common.db.engine import make_engine
from tt_common.deploy import deploy
from tt_common.errors import DomainError
from tt_sandbox.stack.backup import dump_database, restore_database
from tt_sandbox.stack.postgres import EmbeddedPostgres


def metric(billing: Billing, name: str, **labels: str) -> float:
    samples = (s.metrics.registry.get_sample_value(f"tokentally_billing_{name}", labels) for s in billing.services)
    return sum(value or 0 for value in samples)


async def test_a_deposit_is_credited_and_said_and_stands_on_the_statement(billing: Billing) -> None:
    event = confirmed()
    await confirm(billing, event)

    (booked,) = await answered(billing, 1)
    assert await billing.wallet("acc_1") == (DEPOSIT, 0)
    assert (booked.deposit_id, booked.entry, booked.amount_nanousd) == ("dep_1", "credit", DEPOSIT)
    page = await call(billing.nc, w.WALLET_ENTRIES, w.ListEntries(account_id="acc_1"), w.EntryPage, 5)
    (entry,) = page.entries
    assert (entry.kind, entry.transaction_id) == ("deposit_credited", booked.transaction_id)
    assert entry.details["txid"] == event.transfer.txid
    assert metric(billing, "deposits_booked_total", entry="credit") == 1
    await billing.check_books()


async def test_duplicates_and_any_order_credit_every_deposit_once(billing: Billing, seed: int) -> None:
    await billing.start()  # two consumers on the same durable
    chance = random.Random(seed)
    credits = [confirmed(f"c{n}", micro_usdt=1_000_000 + n, account_id=f"acc_{n % 3}") for n in range(40)]
    suspends = [confirmed(f"s{n}", "suspend", 2_000_000 + n) for n in range(10)]
    assigns = [confirmed(f"s{n}", "assign", 2_000_000 + n, account_id="acc_9") for n in range(5)]
    events = [*credits, *suspends, *assigns]
    shuffled = events + chance.sample(events, 30)
    chance.shuffle(shuffled)

    await confirm(billing, *shuffled)

    await answered(billing, len(shuffled))
    assert billing.rows(COUNT) == [(len(events),)]
    for number in range(3):
        expected = sum(event.amount_nanousd for event in credits if event.account_id == f"acc_{number}")
        assert await billing.wallet(f"acc_{number}") == (expected, 0)
    assert await billing.wallet("acc_9") == (sum(event.amount_nanousd for event in assigns), 0)
    suspense = "SELECT sum(amount_nanousd) FROM postings WHERE bucket = 'suspense'"
    assert billing.rows(suspense) == [(sum(event.amount_nanousd for event in suspends[5:]),)]
    assert metric(billing, "deposits_repeated_total") == 30
    await billing.check_books()


async def test_who_asks_again_within_the_brokers_dedupe_window_is_answered_again_with_the_same_event(
    billing: Billing,
) -> None:
    for number in (1, 2, 3):
        await confirm(billing, confirmed())
        await answered(billing, number)

    said = await in_billing(billing, "billing.v1.deposit_booked.")
    assert len({headers["ce-id"] for headers, _ in said}) == len({body for _, body in said}) == 1
    assert len({headers["Nats-Msg-Id"] for headers, _ in said}) == 3
    assert billing.rows(COUNT) == [(1,)]


async def test_an_assignment_ahead_of_its_suspension_waits_for_it(
    billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tt_billing.consumers.deposits.EARLY_RETRY_S", 0.1)
    await confirm(billing, confirmed(entry="assign"))
    await eventually(lambda: metric(billing, "deposits_early_total") >= 2)
    assert billing.rows(COUNT) == [(0,)]
    assert await billing.wallet("acc_1") == (0, 0)

    await confirm(billing, confirmed(entry="suspend"))
    booked = await answered(billing, 2)
    assert [(answer.entry, answer.account_id) for answer in booked] == [("suspend", "house"), ("assign", "acc_1")]
    assert await billing.wallet("acc_1") == (DEPOSIT, 0)
    assert billing.rows("SELECT count(*) FROM quarantine") == [(0,)]
    await billing.check_books()


async def test_a_deposit_on_another_network_than_the_one_that_is_booked_is_quarantined_with_the_reason(
    billing: Billing,
) -> None:
    elsewhere = msgspec.structs.replace(confirmed().transfer, network="sandbox")
    await confirm(billing, confirmed(transfer=elsewhere), confirmed("dep_2"))

    (booked,) = await answered(billing, 1)
    assert booked.deposit_id == "dep_2"
    await eventually(lambda: metric(billing, "deposits_refused_total", reason="network") == 1)
    ((number, reason),) = billing.rows("SELECT id, reason FROM quarantine")
    assert isinstance(number, int)
    assert reason == "the deposit is on sandbox; BILLING_DEPOSITS_NETWORK is mainnet"
    assert await billing.wallet("acc_1") == (DEPOSIT, 0)

    engine = make_engine(billing.settings.database_url, "retries")
    with pytest.raises(DomainError, match="the deposit is on sandbox"):
        await retry_quarantined(make_context(billing.settings, engine), number)
    told = billing.settings.model_copy(update={"deposits_network": "sandbox"})
    assert await retry_quarantined(make_context(told, engine), number) == confirmed().id
    await engine.dispose()
    assert await billing.wallet("acc_1") == (2 * DEPOSIT, 0)


async def test_what_contradicts_the_ledger_is_quarantined_and_moves_nothing(billing: Billing) -> None:
    await confirm(billing, confirmed())
    await answered(billing, 1)
    contradictions = (confirmed(micro_usdt=26_000_000), confirmed(account_id="acc_2"), confirmed(entry="suspend"))
    await confirm(billing, *contradictions, confirmed("dep_2"), *contradictions)

    await answered(billing, 2)
    await eventually(lambda: metric(billing, "deposits_refused_total", reason="conflict") == 6)
    assert billing.rows("SELECT count(*) FROM quarantine") == [(3,)]
    assert await billing.wallet("acc_1") == (2 * DEPOSIT, 0)
    assert await billing.wallet("acc_2") == (0, 0)
    info = await billing.nc.jetstream().consumer_info(DEPOSITS.name, DURABLE)
    assert (info.num_pending, info.num_ack_pending) == (0, 0)
    await billing.check_books()


async def test_poison_stops_nobody_and_can_be_booked_later(billing: Billing, monkeypatch: pytest.MonkeyPatch) -> None:
    def strict(payload: bytes) -> DepositConfirmed:
        if b"dep_new" in payload:
            raise PoisonEvent("a deposit that this version does not know")
        return domain.decode_deposit(payload)

    with monkeypatch.context() as patched:
        patched.setattr(book_deposits, "decode_deposit", strict)
        await confirm(billing, b"no json", confirmed("dep_new"), confirmed(amount_nanousd=1), confirmed("dep_2"))
        await answered(billing, 1)
    quarantined: dict[object, object] = {row[0]: row[1] for row in billing.rows("SELECT reason, id FROM quarantine")}
    assert len(quarantined) == metric(billing, "deposits_refused_total", reason="unreadable") == 3
    assert await billing.wallet("acc_1") == (DEPOSIT, 0)

    engine = make_engine(billing.settings.database_url, "test", pool_size=2)
    try:
        context = make_context(billing.settings, engine)
        unknown = quarantined["a deposit that this version does not know"]
        wrong = quarantined["the amount is not what arrived"]
        assert isinstance(unknown, int)
        assert isinstance(wrong, int)
        with pytest.raises(DomainError, match="still_poison"):
            await retry_quarantined(context, wrong)
        for _ in range(2):
            assert await retry_quarantined(context, unknown) == confirmed("dep_new").id
    finally:
        await engine.dispose()
    assert await billing.wallet("acc_1") == (2 * DEPOSIT, 0)
    assert billing.rows("SELECT id FROM quarantine WHERE settled_at_ms IS NOT NULL") == [(unknown,)]
    await billing.check_books()


async def test_a_deposit_arms_the_low_balance_alarm_again(billing: Billing) -> None:
    async def configure(threshold: int) -> None:
        request = w.ConfigureWallet(account_id="acc_1", overdraft_nanousd=0, low_balance_nanousd=threshold)
        await call(billing.nc, w.WALLET_CONFIGURE, request, w.WalletState, 5)

    await configure(USD)
    assert billing.rows("SELECT low_notified FROM wallets WHERE account_id = 'acc_1'") == [(True,)]
    await confirm(billing, confirmed())
    await answered(billing, 1)
    assert billing.rows("SELECT low_notified FROM wallets WHERE account_id = 'acc_1'") == [(False,)]
    ((_, body),) = await in_billing(billing, "billing.v1.wallet_low.")
    assert msgspec.json.decode(body, type=WalletLow).balance_nanousd == 0


@pytest.mark.parametrize("point", ["before_deposit_commit", "after_deposit_commit_before_ack"])
async def test_a_crash_around_the_commit_credits_once(idle_billing: Billing, point: str) -> None:
    billing = idle_billing
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BILLING_")},
        "BILLING_DATABASE_URL": billing.settings.database_url,
        "BILLING_NATS_URL": billing.settings.nats_url or "",
        "BILLING_PORT": "0",
        "BILLING_CRASH_AT": point,
    }
    await confirm(billing, confirmed("dep_1"), confirmed("dep_2", "suspend"), confirmed("dep_2", "assign"))
    process = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "tt_billing", "serve"], env=env, capture_output=True, timeout=30
    )
    assert process.returncode == 137
    assert billing.rows(COUNT) == [(0 if point == "before_deposit_commit" else 3,)]

    await billing.start()

    names = {(answer.deposit_id, answer.entry) for answer in await answered(billing, 3)}
    assert names == {("dep_1", "credit"), ("dep_2", "suspend"), ("dep_2", "assign")}
    assert await billing.wallet("acc_1") == (2 * DEPOSIT, 0)
    await billing.check_books()


async def test_a_stream_that_was_lost_and_filled_again_credits_nothing_twice(billing: Billing) -> None:
    # given deposits that are booked
    await confirm(billing, confirmed("dep_1"), confirmed("dep_2"))
    await answered(billing, 2)
    js = billing.nc.jetstream()

    # when the stream is lost, and the deposits service asks again for one and for a new one
    await js.delete_stream(DEPOSITS.name)
    await deploy(js)
    await confirm(billing, confirmed("dep_2"), confirmed("dep_3"))

    # then
    assert [answer.deposit_id for answer in await answered(billing, 4)] == ["dep_1", "dep_2", "dep_2", "dep_3"]
    assert billing.rows(COUNT) == [(3,)]
    position = "SELECT sequence FROM stream_positions WHERE stream = 'DEPOSITS'"
    assert billing.rows(position) == [(2,)]
    await billing.check_books()


async def test_deposits_since_the_backup_are_booked_again_once(
    billing: Billing, postgres: EmbeddedPostgres, database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # given a backup, and deposits that are younger
    file = tmp_path / "billing.dump"
    await confirm(billing, confirmed("dep_1"), confirmed("dep_2", "suspend"))
    before = await answered(billing, 2)
    dump_database(postgres, database, file)
    await confirm(billing, confirmed("dep_3"), confirmed("dep_2", "assign"))
    await answered(billing, 4)
    await eventually(lambda: billing.rows("SELECT count(*) FROM outbox") == [(0,)])
    await billing.stop()

    # when the database is lost and restored
    restore_database(postgres, database, file, OWNER, may_connect=(APP,))
    assert billing.rows(COUNT) == [(2,)]
    await billing.start()

    # then it is noticed, each of them is in the ledger once, and what the backup had is answered as it was
    assert "the database was restored from a backup: streams are read again" in caplog.messages
    again = (await answered(billing, 8))[4:]
    assert billing.rows(COUNT) == [(4,)]
    assert again[:2] == before
    assert await billing.wallet("acc_1") == (3 * DEPOSIT, 0)
    await billing.check_books()


async def test_a_database_restored_under_a_running_process_ends_it_before_it_hides_a_deposit(
    idle_billing: Billing,
    postgres: EmbeddedPostgres,
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    billing = idle_billing
    file = tmp_path / "billing.dump"
    ended: list[bool] = []
    monkeypatch.setattr(Service, "_went_back", lambda _: ended.append(True))
    await billing.start()
    await confirm(billing, confirmed("dep_1"))
    await answered(billing, 1)
    dump_database(postgres, database, file)
    await confirm(billing, confirmed("dep_2"))
    await answered(billing, 2)
    restore_database(postgres, database, file, OWNER, may_connect=(APP,))

    await confirm(billing, confirmed("dep_3"))
    await eventually(lambda: bool(ended))
    assert billing.rows(COUNT) == [(1,)]

    await billing.stop()
    await billing.start()
    await eventually(lambda: billing.rows(COUNT) == [(3,)])
    await billing.check_books()


async def test_billing_refuses_to_start_without_the_stream(idle_billing: Billing) -> None:
    await idle_billing.nc.jetstream().delete_stream(DEPOSITS.name)
    service = Service(idle_billing.settings)
    with pytest.raises(RuntimeError, match="the stream DEPOSITS does not exist"):
        await service.start()
    await service.stop()
