"""Deposits and billing together, both real: from the sandbox chain to the wallet, also when billing has lost its database."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from nats.aio.client import Client

from tests.integration.deposits.conftest import Deposits
from tests.integration.deposits.desk import USDT, eventually
from tests.support.chain import Chain
from tt_billing.main.service import Service as Billing
from tt_billing.settings import MIGRATIONS_DIR
from tt_billing.settings import Settings as BillingSettings
from tt_common.bus.rpc import call
from tt_common.contracts import deposits as d
from tt_common.contracts import wallets as w
from tt_common.contracts.streams import DEPOSITS
from tt_common.db.migrations import migrate
from tt_common.errors import DomainError
from tt_sandbox.stack.nats_server import EmbeddedNats
from tt_sandbox.stack.postgres import EmbeddedPostgres

OWNER, APP, PASSWORD = "tt_billing_owner", "tt_billing_app", "test-only"
WAIT_S = 30.0


class Ledger:
    """Billing on a database that a test can throw away."""

    def __init__(self, postgres: EmbeddedPostgres, nats_url: str) -> None:
        self._postgres = postgres
        self._nats_url = nats_url
        self._made = 0
        self._service: Billing | None = None

    async def start_anew(self) -> None:
        """On an empty database."""
        await self.stop()
        self._made += 1
        name = f"tt_billing_beside_{self._made}"
        self._postgres.create_database(name, OWNER, may_connect=(APP,))
        url = self._postgres.url(name, APP, PASSWORD)
        migrate(MIGRATIONS_DIR, self._postgres.url(name, OWNER, PASSWORD), url)
        settings = BillingSettings(
            database_url=url, nats_url=self._nats_url, owner_database_url=None, deposits_network="sandbox"
        )
        self._service = Billing(settings)
        await self._service.start()

    async def stop(self) -> None:
        if self._service is not None:
            await self._service.stop()
            self._service = None


@pytest.fixture
async def ledger(postgres: EmbeddedPostgres, nats_server: EmbeddedNats, nc: Client) -> AsyncIterator[Ledger]:
    postgres.create_role(OWNER, PASSWORD)
    postgres.create_role(APP, PASSWORD)
    made = Ledger(postgres, nats_server.user_url("billing"))
    await made.start_anew()
    yield made
    await made.stop()


async def address_of(nc: Client, account_id: str) -> str:
    async def ask() -> str | None:
        try:
            return (await call(nc, d.ADDRESS_GET, d.GetAddress(account_id=account_id), d.AddressState, 5)).address
        except DomainError:
            return None  # spare addresses are being made

    return await eventually(ask, "an address", WAIT_S)


async def available(nc: Client, account_id: str) -> int:
    return (await call(nc, w.WALLET_GET, w.GetWallet(account_id=account_id), w.WalletState, 5)).available_nanousd


async def reconciled(nc: Client, after_ms: int = 0) -> d.ReconciliationReport:
    await call(nc, d.RECONCILE, d.RunReconciliation(actor="op"), d.ReconciliationReport, 5)

    async def done() -> d.ReconciliationReport | None:
        report = await call(nc, d.RECONCILIATION_GET, d.GetReconciliation(), d.ReconciliationReport, 5)
        return report if not report.running and (report.made_at_ms or 0) > after_ms else None

    return await eventually(done, "a report", WAIT_S)


async def test_what_was_sent_is_in_the_wallets_also_after_billing_and_bus_have_lost_everything(
    idle_deposits: Deposits, ledger: Ledger, nc: Client, chain: Chain
) -> None:
    # given a paid order, and a large transfer that was refused and assigned to another account
    await idle_deposits.start()
    mine = await address_of(nc, "acc_1")
    order = d.CreateOrder(order_id="ord_1", account_id="acc_1", amount_micro_usdt=25 * USDT)
    assert (await call(nc, d.ORDER_CREATE, order, d.Order, 5)).address == mine
    for amount in (25 * USDT, 20_000 * USDT, 300_000):
        chain.send(mine, amount)
    chain.solidify()

    def states(*expected: tuple[str, int]) -> Any:
        sql = "SELECT state, count(*) FROM deposits WHERE booked OR entry = '' GROUP BY state ORDER BY state"
        return lambda: idle_deposits.rows(sql) == list(expected)

    await eventually(states(("below_minimum", 1), ("credited", 1), ("under_review", 1)), "credited", WAIT_S)
    ((held,),) = idle_deposits.rows("SELECT deposit_id FROM deposits WHERE state = 'under_review'")
    words: dict[str, Any] = {"deposit_id": held, "actor": "op@example.com", "reason": "not hers"}
    await call(nc, d.RECORD_DECIDE, d.Decide(decision="refuse", **words), d.DepositRecord, 5)
    await eventually(states(("below_minimum", 1), ("credited", 1), ("suspense", 1)), "suspended", WAIT_S)
    assign = d.Decide(decision="assign", account_id="acc_2", **words)
    await call(nc, d.RECORD_DECIDE, assign, d.DepositRecord, 5)
    await eventually(states(("below_minimum", 1), ("credited", 2)), "assigned", WAIT_S)
    assert (await call(nc, d.ORDER_GET, d.GetOrder(order_id="ord_1", account_id="acc_1"), d.Order, 5)).status == "paid"
    wallets = (await available(nc, "acc_1"), await available(nc, "acc_2"))
    assert wallets == (25 * USDT * 1000, 20_000 * USDT * 1000)
    first = await reconciled(nc)
    assert first.clean, first.differences

    # when billing comes back with nothing, and the stream has nothing to read again
    await nc.jetstream().purge_stream(DEPOSITS.name)
    await ledger.start_anew()
    assert await available(nc, "acc_1") == 0
    second = await reconciled(nc, first.made_at_ms or 0)
    assert len(second.differences) == 3

    # then it is asked again, and everything is where it was
    async def back() -> bool:
        return (await available(nc, "acc_1"), await available(nc, "acc_2")) == wallets

    await eventually(back, "booked again", WAIT_S)
    await eventually(states(("below_minimum", 1), ("credited", 2)), "noted", WAIT_S)
    third = await reconciled(nc, second.made_at_ms or 0)
    assert third.clean, third.differences
