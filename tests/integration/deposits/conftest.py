"""Deposits on a real PostgreSQL, a real NATS and the sandbox chain: servers once a session, a fresh database and streams for every test."""

import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from bip_utils import Bip44, Bip44Coins
from nats.aio.client import Client
from psycopg import sql

from tests.integration.deposits.desk import Desk, FakeBilling
from tests.integration.deposits.scanning import Watcher, watcher_on
from tests.support.broker import fresh_streams
from tests.support.chain import Chain, chain_process
from tests.support.nats_log import refusals
from tt_common.bus.connection import connect
from tt_common.db.migrations import migrate
from tt_deposits.clients import node_pool
from tt_deposits.domain.records import Address
from tt_deposits.main.service import Service
from tt_deposits.settings import MIGRATIONS_DIR, NodeSettings, Settings
from tt_deposits.usecases import compare_nodes, read_blocks
from tt_sandbox.stack.nats_server import EmbeddedNats
from tt_sandbox.stack.postgres import EmbeddedPostgres

OWNER, APP, PASSWORD = "tt_deposits_owner", "tt_deposits_app", "test-only"
TEMPLATE = "tt_deposits_template"
SEED = b"deposits are tested with this seed"
USDT = 1_000_000
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("deposits-postgres"))
    server.start()
    server.create_role(OWNER, PASSWORD)
    server.create_role(APP, PASSWORD)
    server.create_database(TEMPLATE, OWNER, may_connect=(APP,))
    migrate(MIGRATIONS_DIR, server.url(TEMPLATE, OWNER, PASSWORD), server.url(TEMPLATE, APP, PASSWORD))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedNats]:
    server = EmbeddedNats(tmp_path_factory.mktemp("deposits-nats"))
    server.start()
    yield server
    server.stop()
    assert refusals(server) == []


@pytest.fixture(scope="session")
def lasting_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with chain_process(tmp_path_factory.mktemp("deposits-chain")) as service, Chain(service.url) as chain:
        yield chain


@pytest.fixture
def chain(lasting_chain: Chain) -> Chain:
    """Blocks come by command; without the faults of the test before."""
    lasting_chain.heal()
    lasting_chain.solidify()
    return lasting_chain


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The name of a fresh database with the newest schema."""
    name = f"tt_deposits_{next(_numbers)}"
    with psycopg.connect(postgres.superuser_url(), autocommit=True) as connection:
        parts = [sql.Identifier(part) for part in (name, TEMPLATE, OWNER)]
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(*parts))
    yield name
    postgres.drop_database(name)


@pytest.fixture
async def nc(nats_server: EmbeddedNats) -> AsyncIterator[Client]:
    """A connection to a broker with fresh streams."""
    client = await connect(nats_server.url, "deposits-tests")
    await fresh_streams(client.jetstream())
    yield client
    await client.close()


@pytest.fixture
def xpub() -> str:
    """Of an account of its own for every test: the chain outlives the test, and addresses that had something are not given out."""
    account = Bip44.FromSeed(SEED, Bip44Coins.TRON).Purpose().Coin().Account(next(_numbers))
    return account.PublicKey().ToExtended()


class Deposits:
    """A running deposits service and what a test does with it."""

    def __init__(self, settings: Settings, owner_url: str) -> None:
        self.settings = settings
        self.owner_url = owner_url
        self.services: list[Service] = []

    async def start(self, **changes: object) -> Service:
        """One more process's worth of deposits, in this process."""
        self.settings = self.settings.model_copy(update=changes)
        service = Service(self.settings)
        self.services.append(service)
        await service.start()
        return service

    async def stop(self) -> None:
        while self.services:
            await self.services.pop().stop()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """As the owner."""
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            cursor = connection.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]
            return cursor.fetchall() if cursor.description else []


def deposit_settings(
    url: str, nats_url: str | None, chain: Chain, xpub: str, nodes: tuple[str, ...] = ("a", "b")
) -> Settings:
    """Of a service on the sandbox chain that looks often."""
    return Settings(
        database_url=url,
        nats_url=nats_url,
        owner_database_url=None,
        network="sandbox",
        xpub=xpub,
        nodes=tuple(NodeSettings(name=name, url=chain.node_url(name)) for name in nodes),
        spare_addresses=3,
        poll_s=0.05,
        node_timeout_s=20.0,
    )


@pytest.fixture
async def idle_deposits(
    postgres: EmbeddedPostgres, nats_server: EmbeddedNats, database: str, nc: Client, chain: Chain, xpub: str
) -> AsyncIterator[Deposits]:
    """Not started yet, for tests with settings of their own."""
    settings = deposit_settings(postgres.url(database, APP, PASSWORD), nats_server.user_url("deposits"), chain, xpub)
    deposits = Deposits(settings, postgres.url(database, OWNER, PASSWORD))
    yield deposits
    await deposits.stop()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that told an incomplete block is asked again at once; one that is slow because the machine is, is waited for."""
    monkeypatch.setattr(read_blocks, "RETRY_S", 0.0)
    monkeypatch.setattr(compare_nodes, "WAIT_S", 20.0)
    monkeypatch.setattr(node_pool, "LOOK_S_MAX", 20.0)


@pytest.fixture
def watch_settings(postgres: EmbeddedPostgres, database: str, chain: Chain, xpub: str) -> Settings:
    """For a scanner that a test drives itself: no broker."""
    return deposit_settings(postgres.url(database, APP, PASSWORD), None, chain, xpub)


@pytest.fixture
def owner_url(postgres: EmbeddedPostgres, database: str) -> str:
    return postgres.url(database, OWNER, PASSWORD)


@pytest.fixture
async def watcher(watch_settings: Settings, owner_url: str, chain: Chain) -> AsyncIterator[Watcher]:
    """Begun, on the nodes a and b."""
    async with watcher_on(watch_settings, chain, owner_url) as watcher:
        await watcher.begin()
        yield watcher


@pytest.fixture
async def desk(idle_deposits: Deposits, nc: Client) -> AsyncIterator[Desk]:
    """Without a scanner."""
    made = Desk(idle_deposits.settings, idle_deposits.owner_url, nc)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def billing(nc: Client) -> AsyncIterator[FakeBilling]:
    """Books what it is asked."""
    made = FakeBilling(nc)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def mine(desk: Desk) -> Address:
    """The address of `acc_1`."""
    return desk.address(1, "acc_1")
