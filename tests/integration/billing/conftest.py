"""Billing on a real PostgreSQL and a real NATS: servers once a session, a fresh database and fresh streams for every test."""

import asyncio
import itertools
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest
from nats.aio.client import Client
from psycopg import sql

from tests.support.broker import fresh_streams
from tests.support.nats_log import refusals
from tt_billing.main.service import Service, make_context
from tt_billing.settings import MIGRATIONS_DIR, Settings
from tt_billing.usecases.reconcile import Report, reconcile
from tt_billing.usecases.replay import ReplayReport, replay
from tt_common.bus.connection import connect
from tt_common.bus.rpc import call
from tt_common.contracts import grants as g
from tt_common.contracts import wallets as w
from tt_common.contracts.events import UsageEvent
from tt_common.contracts.streams import RECALL_SUBJECT, usage_subject
from tt_common.db.engine import make_engine
from tt_common.db.migrations import migrate
from tt_common.errors import Unavailable
from tt_common.ids import new_event_id
from tt_common.rating import Price, Rates, Usage
from tt_sandbox.stack.nats_server import EmbeddedNats
from tt_sandbox.stack.postgres import EmbeddedPostgres

OWNER, APP, PASSWORD = "tt_billing_owner", "tt_billing_app", "test-only"
TEMPLATE = "tt_billing_template"
USD = 1_000_000_000
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("billing-postgres"))
    server.start()
    server.create_role(OWNER, PASSWORD)
    server.create_role(APP, PASSWORD)
    server.create_database(TEMPLATE, OWNER, may_connect=(APP,))
    migrate(MIGRATIONS_DIR, server.url(TEMPLATE, OWNER, PASSWORD), server.url(TEMPLATE, APP, PASSWORD))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedNats]:
    server = EmbeddedNats(tmp_path_factory.mktemp("billing-nats"))
    server.start()
    yield server
    server.stop()
    assert refusals(server) == []


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The name of a fresh database with the newest schema."""
    name = f"tt_billing_{next(_numbers)}"
    with psycopg.connect(postgres.superuser_url(), autocommit=True) as connection:
        parts = [sql.Identifier(part) for part in (name, TEMPLATE, OWNER)]
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(*parts))
    yield name
    postgres.drop_database(name)


@pytest.fixture
async def nc(nats_server: EmbeddedNats) -> AsyncIterator[Client]:
    """A connection to a broker with fresh streams."""
    client = await connect(nats_server.url, "billing-tests")
    await fresh_streams(client.jetstream())
    yield client
    await client.close()


class Billing:
    """A running billing and what a test does with it."""

    def __init__(self, settings: Settings, owner_url: str, nc: Client) -> None:
        self.settings = settings
        self.owner_url = owner_url
        self.nc = nc
        self.services: list[Service] = []
        self.epoch = f"epoch-{os.urandom(4).hex()}"
        self._seqs: dict[str, int] = {}

    async def start(self, **changes: object) -> Service:
        """One more process's worth of billing, in this process."""
        self.settings = self.settings.model_copy(update=changes)
        service = Service(self.settings)
        await service.start()
        self.services.append(service)
        return service

    async def stop(self) -> None:
        while self.services:
            await self.services.pop().stop()

    async def credit(self, account_id: str, amount_nanousd: int) -> w.WalletState:
        request = w.AdjustWallet(
            request_id=new_event_id(), account_id=account_id, amount_nanousd=amount_nanousd, reason="test", actor="test"
        )
        return await call(self.nc, w.WALLET_ADJUST, request, w.WalletState, 5)

    async def wallet(self, account_id: str) -> tuple[int, int]:
        """(available, held)"""
        state = await call(self.nc, w.WALLET_GET, w.GetWallet(account_id=account_id), w.WalletState, 5)
        return state.available_nanousd, state.held_nanousd

    async def change(self, grant_id: str, revision: int = 1, **fields: object) -> g.GrantReply:
        return await call(self.nc, g.GRANTS_CHANGE, self.change_request(grant_id, revision, **fields), g.GrantReply, 5)

    def change_request(self, grant_id: str, revision: int = 1, **fields: object) -> g.ChangeGrant:
        values: dict[str, object] = {
            "grant_id": grant_id,
            "revision": revision,
            "key": key_terms(),
            "edge_id": "edge-1",
            "boot_epoch": self.epoch,
            "need_nanousd": 0,
            "need": g.Slices(),
        }
        return g.ChangeGrant(**{**values, **fields})  # pyright: ignore[reportArgumentType]

    async def shrink(self, *shrinks: g.ShrinkGrant) -> None:
        request = g.ShrinkGrants(edge_id="edge-1", boot_epoch=self.epoch, grants=shrinks)
        await call(self.nc, g.GRANTS_SHRINK, request, g.Ack, 5)

    def usage(self, cost_nanousd: int, grant_id: str = "", **fields: object) -> UsageEvent:
        """The next event of the epoch; no cost comes from the usage unless the test says so."""
        boot_epoch = str(fields.get("boot_epoch", self.epoch))
        self._seqs[boot_epoch] = self._seqs.get(boot_epoch, 0) + 1
        values: dict[str, object] = {
            "id": new_event_id(),
            "account_id": "acc_1",
            "key_id": "key_1",
            "edge_id": "edge-1",
            "boot_epoch": boot_epoch,
            "edge_seq": self._seqs[boot_epoch],
            "grant_id": grant_id,
            "hold_id": "hold",
            "hold_nanousd": cost_nanousd,
            "outcome": "succeeded",
            "status": 200,
            "endpoint": "/v1/chat/completions",
            "protocol": "openai",
            "model": "m",
            "provider": "p",
            "upstream_model": "m",
            "stream": False,
            "usage": Usage(input_tokens=cost_nanousd),
            "usage_source": "provider",
            "price_version": "m@1",
            "cost_nanousd": cost_nanousd,
            "started_at_ms": 1,
            "finished_at_ms": 2,
        }
        return UsageEvent(**{**values, **fields})  # pyright: ignore[reportArgumentType]

    async def publish(self, *events: UsageEvent) -> None:
        js = self.nc.jetstream()
        for event in events:
            await js.publish(usage_subject(event.account_id), msgspec.json.encode(event))

    async def settled(self, watermark: int, boot_epoch: str = "", timeout_s: float = 8.0) -> None:
        """Wait until the epoch is settled that far."""
        request = g.EpochBeat(edge_id="edge-1", boot_epoch=boot_epoch or self.epoch, last_seq=watermark)

        async def reached() -> bool:
            try:
                return (await call(self.nc, g.EPOCHS_BEAT, request, g.EpochBeatReply, 2)).watermark >= watermark
            except Unavailable:
                return False

        await eventually(reached, timeout_s)

    async def replay(self) -> ReplayReport:
        engine = make_engine(self.settings.database_url, "test", pool_size=2)
        try:
            return await replay(make_context(self.settings, engine).database)
        finally:
            await engine.dispose()

    async def reconcile(self) -> Report:
        engine = make_engine(self.settings.database_url, "test", pool_size=2)
        try:
            return await reconcile(make_context(self.settings, engine), None, whole=True)
        finally:
            await engine.dispose()

    async def price_of_one(self) -> None:
        """A price under which an input token costs one nanoUSD."""
        request = w.PublishPrice(model="m", rates=Rates(input=1_000_000), actor="test")
        await call(self.nc, w.PRICE_PUBLISH, request, Price, 5)

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        """As the owner."""
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            cursor = connection.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]
            return cursor.fetchall() if cursor.description else []

    async def check_books(self) -> None:
        """Replay and reconciliation find nothing."""
        assert (await self.replay()).differences == ()
        assert (await self.reconcile()).differences == ()


class FakeEdge:
    """Answers recalls for the grants it has; `shrinks` says with what, `deaf` ones are not answered."""

    def __init__(self, billing: Billing) -> None:
        self.billing = billing
        self.shrinks: dict[str, Callable[[], g.ShrinkGrant]] = {}
        self.recalls = 0

    async def start(self) -> None:
        async def take(message: object) -> None:
            self.recalls += 1
            recall = msgspec.json.decode(message.data, type=g.Recall)  # pyright: ignore[reportAttributeAccessIssue]
            mine = tuple(self.shrinks[name]() for name in recall.grants if name in self.shrinks)
            if mine:
                reply = g.RecallReply(recall_id=recall.recall_id, boot_epoch=self.billing.epoch, grants=mine)
                await self.billing.nc.publish(message.reply, msgspec.json.encode(reply))  # pyright: ignore[reportAttributeAccessIssue]

        await self.billing.nc.subscribe(RECALL_SUBJECT, cb=take)
        await self.billing.nc.flush()
        await self.billing.nc.flush()


def key_terms(key_id: str = "key_1", account_id: str = "acc_1", revision: int = 1, **limits: int) -> g.KeyTerms:
    return g.KeyTerms(key_id=key_id, account_id=account_id, revision=revision, **limits)


def shrunk(
    grant_id: str,
    back: int = 0,
    final: int | None = None,
    *,
    seen: int = 10**15,
    window: int = 0,
    requests_seen: int = 0,
    **slices: int,
) -> g.ShrinkGrant:
    """The totals that the edge has given back: `back` nanoUSD, and `slices` of the key's limits; by default it saw every grant."""
    return g.ShrinkGrant(
        grant_id=grant_id,
        account_id="acc_1",
        key_id="key_1",
        given_back_nanousd=back,
        granted_seen_nanousd=seen,
        window=window,
        given_back=g.Slices(**slices),
        requests_seen=requests_seen,
        final_events=final,
    )


async def eventually(check: Callable[[], object], timeout_s: float = 8.0) -> None:
    """Until `check` (plain or async) is true; the last answer fails the test."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        result = check()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return
        assert asyncio.get_running_loop().time() < deadline, f"not within {timeout_s} s"
        await asyncio.sleep(0.03)


@pytest.fixture
def seed() -> int:
    number = random.randrange(2**32)
    print(f"seed {number}")  # noqa: T201
    return number


@pytest.fixture
async def idle_billing(
    postgres: EmbeddedPostgres, nats_server: EmbeddedNats, database: str, nc: Client, tmp_path: Path
) -> AsyncIterator[Billing]:
    """Not started yet, for tests with settings of their own."""
    settings = Settings(
        database_url=postgres.url(database, APP, PASSWORD),
        nats_url=nats_server.user_url("billing"),
        owner_database_url=None,
    )
    billing = Billing(settings, postgres.url(database, OWNER, PASSWORD), nc)
    yield billing
    await billing.stop()


@pytest.fixture
async def billing(idle_billing: Billing) -> Billing:
    await idle_billing.start()
    return idle_billing
