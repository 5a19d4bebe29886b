"""Usage events become charges exactly once, whatever the stream, the database and the process go through."""

import asyncio
import os
import random
import subprocess
import sys

import msgspec
import psycopg
import pytest

from tests.integration.billing.conftest import APP, PASSWORD, USD, Billing, eventually, shrunk
from tt_billing.domain.intake import PoisonEvent, decode_usage
from tt_billing.main.service import make_context
from tt_billing.usecases import settle_usage
from tt_billing.usecases.retry_quarantined import retry_quarantined
from tt_common.bus.rpc import call
from tt_common.contracts import wallets as w
from tt_common.contracts.events import UsageEvent
from tt_common.contracts.streams import usage_subject
from tt_common.db.engine import make_engine
from tt_common.errors import DomainError
from tt_sandbox.stack.nats_server import EmbeddedNats
from tt_sandbox.stack.postgres import EmbeddedPostgres


async def test_duplicates_and_reordering_charge_every_event_once(billing: Billing, seed: int) -> None:
    await billing.start()  # two consumers on the same durable
    await billing.price_of_one()
    await billing.credit("acc_1", USD)
    await billing.change("g1", need_nanousd=5_000)
    events = [billing.usage(100 + i, "g1") for i in range(120)]
    shuffled = events + random.Random(seed).sample(events, 40)
    random.Random(seed).shuffle(shuffled)

    await asyncio.gather(*(billing.publish(event) for event in shuffled))
    await billing.settled(120)

    cost = sum(event.cost_nanousd for event in events)
    available, held = await billing.wallet("acc_1")
    assert (available + held, held) == (USD - cost, 0)
    assert billing.rows("SELECT count(*) FROM usage_events") == [(120,)]
    await billing.check_books()


async def test_the_twin_of_a_call_that_was_taken_over_counts_but_is_not_charged(billing: Billing) -> None:
    await billing.price_of_one()
    await billing.credit("acc_1", USD)
    await billing.change("g1", need_nanousd=1000)
    await billing.change("g2", need_nanousd=1000, boot_epoch="other")
    first = billing.usage(300, "g1")
    twin = billing.usage(400, "g2", id=first.id, boot_epoch="other")
    await billing.publish(first)
    await billing.settled(1)
    await billing.publish(twin, twin)
    await billing.settled(1, "other")
    await billing.shrink(shrunk("g2", 600, final=1))
    assert await billing.wallet("acc_1") == (USD - 1000, 700)
    assert billing.rows("SELECT state FROM grants WHERE grant_id = 'g2'") == [("ended",)]
    await billing.check_books()


async def test_usage_beyond_the_grant_is_charged_to_what_is_available_below_zero_if_need_be(billing: Billing) -> None:
    await billing.price_of_one()
    await billing.credit("acc_1", 1000)
    await billing.change("g1", need_nanousd=400)
    await billing.publish(billing.usage(1500, "g1"))
    await billing.settled(1)
    assert await billing.wallet("acc_1") == (-500, 0)
    await billing.check_books()


async def test_nonsense_is_charged_its_hold_at_most_and_flagged(billing: Billing) -> None:
    await billing.price_of_one()
    await billing.credit("acc_1", USD)
    plain = billing.usage(1).usage
    for number, (cost, tokens) in enumerate([(-5, 10), (10**15, 10), (5000, -1), (5000, 2**40)], start=1):
        usage = msgspec.structs.replace(plain, input_tokens=tokens)
        await billing.publish(billing.usage(cost, hold_nanousd=700, usage=usage, edge_seq=number))
    await billing.settled(4)
    assert await billing.wallet("acc_1") == (USD - 3 * 700, 0)
    flags = billing.rows("SELECT flags FROM usage_events ORDER BY edge_seq")
    assert flags == [("negative_cost",), ("cost_over_limit",), ("negative_usage",), ("usage_over_limit",)]
    await billing.check_books()


async def test_poison_is_quarantined_counts_for_its_epoch_and_can_be_settled_later(
    billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    await billing.price_of_one()
    await billing.credit("acc_1", USD)
    await billing.change("g1", need_nanousd=1000)

    def strict(payload: bytes) -> UsageEvent:
        if b'"model":"new"' in payload:
            raise PoisonEvent("a model that this version does not know")
        return decode_usage(payload)

    js = billing.nc.jetstream()
    with monkeypatch.context() as patched:
        patched.setattr(settle_usage, "decode_usage", strict)
        await js.publish(usage_subject("acc_1"), b"not json at all")
        await js.publish(usage_subject("acc_1"), b'{"boot_epoch":"x","edge_seq":1,"grant_id":"g1\\u0000"}')
        await billing.publish(billing.usage(600, "g1", model="new"))
        await billing.shrink(shrunk("g1", 400, final=1))
        await billing.settled(1)
        await billing.settled(1, "x")
    assert billing.rows("SELECT count(*) FROM quarantine") == [(3,)]
    assert billing.rows("SELECT state FROM grants") == [("ended",)]
    assert await billing.wallet("acc_1") == (USD, 0)

    ((broken,),) = billing.rows("SELECT id FROM quarantine WHERE boot_epoch IS NULL")
    ((unknown,),) = billing.rows("SELECT id FROM quarantine WHERE reason LIKE 'a model%'")
    assert isinstance(broken, int)
    assert isinstance(unknown, int)
    engine = make_engine(billing.settings.database_url, "test", pool_size=2)
    try:
        context = make_context(billing.settings, engine)
        with pytest.raises(DomainError, match="still_poison"):
            await retry_quarantined(context, broken)
        await retry_quarantined(context, unknown)
        await retry_quarantined(context, unknown)
    finally:
        await engine.dispose()
    assert await billing.wallet("acc_1") == (USD - 600, 0)
    assert billing.rows("SELECT id FROM quarantine WHERE settled_at_ms IS NOT NULL") == [(unknown,)]
    await billing.check_books()


async def test_receipts_and_export_give_back_what_was_booked(billing: Billing) -> None:
    await billing.price_of_one()
    await billing.credit("acc_1", USD)
    events = [billing.usage(100 + i) for i in range(7)]
    await billing.publish(*events)
    await billing.settled(7)

    request = w.GetReceipt(account_id="acc_1", request_id=events[2].id)
    receipt = await call(billing.nc, w.RECEIPT_GET, request, w.Receipt, 5)
    assert (receipt.cost_nanousd, receipt.charged_nanousd) == (102, 102)
    assert [(line.token_class, line.quantity) for line in receipt.lines] == [("input", 102)]
    assert sum(entry.amount_nanousd for entry in receipt.entries) == 102
    with pytest.raises(DomainError, match="receipt_not_found"):
        await call(billing.nc, w.RECEIPT_GET, msgspec.structs.replace(request, account_id="acc_2"), w.Receipt, 5)

    exported: list[str] = []
    after: int | None = 0
    while after is not None:
        page = await call(billing.nc, w.USAGE_EXPORT, w.ExportUsage(after=after, limit=3), w.UsagePage, 5)
        exported += [item.event.id for item in page.events]
        after = page.next_after
    assert exported == [event.id for event in events]


async def test_the_runtime_role_can_not_change_the_log(
    billing: Billing, postgres: EmbeddedPostgres, database: str
) -> None:
    await billing.credit("acc_1", USD)
    with psycopg.connect(postgres.url(database, APP, PASSWORD), autocommit=True) as connection:
        for table in ("ledger", "usage_events", "epoch_twins", "prices"):
            for statement in (f"UPDATE {table} SET booked_at_ms = 0", f"DELETE FROM {table}", f"TRUNCATE {table}"):
                if table == "prices":
                    statement = statement.replace("booked_at_ms", "created_at_ms")
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]


TAMPERING = {
    "UPDATE wallets SET available_nanousd = available_nanousd + 1": "replay gives the stored projections",
    "UPDATE grants SET held_nanousd = held_nanousd - 1": "held is open grants and holds",
    "UPDATE grants SET state = 'ended'": "ended grants have no residue",
    "UPDATE key_months SET spent_nanousd = 0": "replay gives the stored projections",
    "DELETE FROM ledger WHERE source = 'usage'": "charges are revenue, by day and price",
    "UPDATE ledger SET credit = 'suspense' WHERE source = 'usage'": "transfers are well formed",
    "UPDATE usage_events SET cost_nanousd = 1, charged_nanousd = 1": "receipts are rated right",
    "UPDATE usage_events SET cost_nanousd = 1": "events are charged what they cost",
    "DELETE FROM prices": "receipts are rated right",
}


async def test_reconciliation_finds_what_was_tampered_with(billing: Billing) -> None:
    await billing.price_of_one()
    await billing.credit("acc_1", USD)
    await billing.change("g1", need_nanousd=1000)
    await billing.publish(billing.usage(300, "g1"))
    await billing.settled(1)
    tables = ("wallets", "grants", "key_months", "ledger", "usage_events", "prices")
    for table in tables:
        billing.rows(f"CREATE TABLE saved_{table} AS TABLE {table}")
    for tampering, check in TAMPERING.items():
        await billing.check_books()
        billing.rows(tampering)
        found = {difference.check for difference in (await billing.reconcile()).differences}
        assert check in found, tampering
        for table in tables:
            billing.rows(f"DELETE FROM {table}")
            billing.rows(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE saved_{table}")


async def test_a_missing_event_is_found_once_it_is_old(billing: Billing) -> None:
    await billing.price_of_one()
    billing.usage(1)  # never published
    await billing.publish(billing.usage(1))
    await asyncio.sleep(0.3)
    await billing.settled(0)
    assert (await billing.reconcile()).clean
    billing.rows("UPDATE usage_events SET booked_at_ms = booked_at_ms - 61000")
    assert "no event is missing" in {difference.check for difference in (await billing.reconcile()).differences}


async def test_restarts_of_postgres_and_nats_lose_nothing(
    billing: Billing, postgres: EmbeddedPostgres, nats_server: EmbeddedNats
) -> None:
    await billing.price_of_one()
    await billing.credit("acc_1", USD)
    await billing.publish(billing.usage(100))
    await asyncio.to_thread(postgres.kill)
    with pytest.raises(DomainError, match="unavailable"):
        await billing.change("g1", need_nanousd=100)
    await billing.publish(billing.usage(100))
    await asyncio.to_thread(postgres.start)
    await billing.settled(2)
    await asyncio.to_thread(nats_server.restart)
    await eventually(lambda: billing.nc.is_connected)
    await billing.publish(billing.usage(100))
    await billing.settled(3)
    assert (await billing.change("g1", need_nanousd=100)).granted_nanousd == 100
    assert await billing.wallet("acc_1") == (USD - 400, 100)
    await billing.check_books()


@pytest.mark.parametrize("point", ["before_commit", "after_commit_before_ack"])
async def test_a_crash_around_the_commit_charges_once(idle_billing: Billing, point: str) -> None:
    billing = idle_billing
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BILLING_")},
        "BILLING_DATABASE_URL": billing.settings.database_url,
        "BILLING_NATS_URL": billing.settings.nats_url or "",
        "BILLING_PORT": "0",
        "BILLING_CRASH_AT": point,
    }
    await billing.publish(*(billing.usage(100 + i) for i in range(5)))
    process = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "tt_billing", "serve"], env=env, capture_output=True, timeout=20
    )
    assert process.returncode == 137
    await billing.start()
    await billing.price_of_one()
    await billing.settled(5)
    available, _ = await billing.wallet("acc_1")
    assert available == -sum(100 + i for i in range(5))
    await billing.check_books()


async def test_names_with_any_characters_are_settled_as_they_are(billing: Billing) -> None:
    await billing.price_of_one()
    names = ['quo"te', "back\\slash", "comma,brace{}", "null", " space ", "tab\tnew\nline", "ünïcode", "'", "NULL"]
    await billing.credit("acc_1", USD)
    await billing.publish(*(billing.usage(10, key_id=name, model=name) for name in names))
    await billing.settled(len(names))
    assert billing.rows("SELECT key_id, model FROM usage_events ORDER BY edge_seq") == [(name, name) for name in names]
    assert billing.rows("SELECT count(*) FROM key_months WHERE spent_nanousd = 10") == [(len(names),)]
    assert billing.rows("SELECT DISTINCT details ->> 'model' FROM ledger WHERE source = 'usage' ORDER BY 1") == [
        (n,) for n in sorted(names)
    ]
    await billing.check_books()
