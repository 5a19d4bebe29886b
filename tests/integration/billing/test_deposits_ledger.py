"""Deposits in the ledger: listed in its order, reconciled, and found by an index that was built beside the running service."""

import asyncio
import os
import subprocess
import sys

import msgspec
import psycopg

from tests.integration.billing.conftest import APP, OWNER, PASSWORD, USD, Billing
from tests.integration.billing.deposits import answered, answers, confirm
from tests.support.waiting import eventually
from tests.unit.billing.deposit_events import confirmed
from tt_billing.domain.records import Delivery
from tt_billing.main.service import make_context
from tt_billing.usecases.book_deposits import book_in, sort_out
from tt_common.bus.rpc import call
from tt_common.contracts import wallets as w
from tt_common.contracts.streams import deposits_subject
from tt_common.db.engine import make_engine
from tt_sandbox.stack.postgres import EmbeddedPostgres


async def test_the_ledger_lists_deposits_in_its_order_and_skips_none_that_commits_late(billing: Billing) -> None:
    async def listed(after: int = 0, limit: int = 2) -> w.BookedDepositPage:
        request = w.ListBookedDeposits(after=after, limit=limit)
        return await call(billing.nc, w.DEPOSITS_BOOKED, request, w.BookedDepositPage, 5)

    assert (await listed()).next_after is None
    events = [confirmed("dep_1"), confirmed("dep_2", "suspend"), confirmed("dep_2", "assign"), confirmed("dep_3")]
    for number, event in enumerate(events, start=1):
        await confirm(billing, event)
        await answered(billing, number)
        await billing.credit("acc_1", 1)  # other entries in between
    found: list[w.BookedDeposit] = []
    after: int | None = 0
    while after is not None:
        page = await listed(after)
        found += page.deposits
        after = page.next_after
    assert [(b.deposit_id, b.entry, b.account_id) for b in found] == [
        (event.deposit_id, event.entry, event.account_id) for event in events
    ]
    assert [b.transaction_id for b in found] == [a.transaction_id for a in await answers(billing)]

    # given one that has its place in the ledger and is not committed, when another is booked and both are asked for
    engine = make_engine(billing.settings.database_url, "test", pool_size=2)
    try:
        context = make_context(billing.settings, engine)
        late = msgspec.json.encode(confirmed("dep_late", account_id="acc_2"))
        deliveries, _ = sort_out([Delivery(deposits_subject("deposit_confirmed", "acc_2"), 1, late)])
        async with context.database.begin() as unit:
            await book_in(unit, context.deposits_network, context.now_ms(), deliveries)
            await confirm(billing, confirmed("dep_4"))
            await answered(billing, 5)
            asked = asyncio.create_task(listed(found[-1].seq))
            await asyncio.sleep(0.2)
            assert not asked.done()
        assert [b.deposit_id for b in (await asked).deposits] == ["dep_late", "dep_4"]
    finally:
        await engine.dispose()


TAMPERING = {
    "UPDATE ledger SET amount_nanousd = amount_nanousd + 1 WHERE kind = 'deposit_credited'": {
        "deposits are booked at what arrived",
        "replay gives the stored projections",
    },
    "UPDATE ledger SET source_id = 'x', transaction_id = gen_random_uuid(), details = details || '{\"log_index\": 0}',"
    " kind = 'deposit_suspended', debit = 'receipts', credit = 'suspense' WHERE source_id = 'dep_2:assigned'": {
        "a transfer on the chain is booked once",
        "replay gives the stored projections",
    },
    "UPDATE ledger SET amount_nanousd = amount_nanousd * 2 WHERE kind = 'deposit_assigned'": {
        "assigned deposits were in suspense",
        "deposits are booked at what arrived",
        "suspense is what is suspended and not assigned",
        "replay gives the stored projections",
    },
    "DELETE FROM ledger WHERE source_id = 'dep_2'": {
        "assigned deposits were in suspense",
        "suspense is what is suspended and not assigned",
    },
    "UPDATE ledger SET credit = 'suspense' WHERE source_id = 'dep_1'": {
        "transfers are well formed",
        "suspense is what is suspended and not assigned",
        "replay gives the stored projections",
    },
    "UPDATE ledger SET debit = 'receipts' WHERE kind = 'adjustment'": {
        "transfers are well formed",
        "receipts are the deposits",
    },
}


async def test_reconciliation_finds_what_was_tampered_with(billing: Billing) -> None:
    await billing.credit("acc_1", USD)
    request = w.AdjustWallet(
        request_id="r", account_id="acc_1", amount_nanousd=USD, reason="", actor="", kind="deposit"
    )
    await call(billing.nc, w.WALLET_ADJUST, request, w.WalletState, 5)
    await call(
        billing.nc,
        w.WALLET_ADJUST,
        msgspec.structs.replace(request, request_id="back", amount_nanousd=-1),
        w.WalletState,
        5,
    )
    for entry in ("suspend", "assign"):
        await confirm(billing, confirmed("dep_2", entry))
    await confirm(billing, confirmed("dep_1"), confirmed("dep_3", "suspend"))
    await answered(billing, 4)
    await billing.check_books()
    billing.rows("CREATE TABLE saved_ledger AS TABLE ledger")
    for tampering, checks in TAMPERING.items():
        billing.rows(tampering)
        report = await billing.reconcile()
        assert {difference.check for difference in report.differences} == checks, tampering
        assert checks <= set(report.checks)
        billing.rows("DELETE FROM ledger")
        billing.rows("INSERT INTO ledger OVERRIDING SYSTEM VALUE TABLE saved_ledger")
    await billing.check_books()


LEDGER_ROW = (
    "INSERT INTO ledger (transaction_id, leg, kind, account_id, debit, credit, amount_nanousd, source, source_id, details,"
    " occurred_at_ms, booked_at_ms) VALUES (gen_random_uuid(), 0, 'adjustment', 'acc_1', 'adjustments', 'available', 1, 'adjust',"
    " 'while the index is built', '{}', 0, 0)"
)


def test_the_index_is_built_beside_writers_by_several_at_once_and_again_after_an_interruption(
    postgres: EmbeddedPostgres, database: str
) -> None:
    # given the schema before, what an interrupted build of the index leaves, and somebody whose transaction holds up the next one
    owner, app = (postgres.url(database, role, PASSWORD) for role in (OWNER, APP))
    env = {**os.environ, "BILLING_DATABASE_URL": app, "BILLING_OWNER_DATABASE_URL": owner}
    migrating: list[subprocess.Popen[bytes]] = []
    with psycopg.connect(postgres.superuser_url(database), autocommit=True) as link, psycopg.connect(app) as reader:
        link.execute("UPDATE alembic_version SET version_num = '0002'")
        link.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ledger_deposits'::regclass")
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM ledger")

        # when two migrate at once
        for _ in range(2):
            migrating.append(subprocess.Popen([sys.executable, "-m", "tt_billing", "migrate"], env=env))
        waits = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'"
        eventually(lambda: link.execute(waits).fetchone(), "the build waits for the reader")

        # then writers need not wait, and once the reader is gone the index is there
        with psycopg.connect(app, autocommit=True, options="-c lock_timeout=5s") as writer:
            writer.execute(LEDGER_ROW)
        reader.rollback()
        assert [process.wait(60) for process in migrating] == [0, 0]
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ledger_deposits'::regclass"
        assert link.execute(valid).fetchone() == (True,)
        assert link.execute("SELECT version_num FROM alembic_version").fetchone() == ("0003",)
