"""A deployed NATS with one internal team, set up as `make team` does it; and the whole product for what needs real events."""

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
from nats.aio.client import Client

from tests.support.broker import running_broker
from tests.support.product import Product
from tt_common.bus.connection import connect
from tt_common.deploy import deploy
from tt_common.teams.access import TeamAccess
from tt_common.teams.accounts import Team, TeamFiles
from tt_sandbox.stack.nats_server import EmbeddedNats
from tt_sandbox.stack.ports import HOST


def team_access(server: EmbeddedNats) -> TeamAccess:
    """What the command builds: reload is a SIGHUP to the running server."""

    def reload() -> None:
        assert server.process.pid is not None
        psutil.Process(server.process.pid).send_signal(signal.SIGHUP)

    return TeamAccess(TeamFiles(server.store_dir), f"{HOST}:{server.port}", reload)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedNats]:
    with running_broker(tmp_path / "nats") as server:
        yield server


@pytest.fixture
async def product_nc(broker: EmbeddedNats) -> AsyncIterator[Client]:
    """A connection as the product's own services have it, to deployed streams."""
    client = await connect(broker.url, "tests")
    await deploy(client.jetstream(timeout=5))
    yield client
    await client.close()


@pytest.fixture
def access(broker: EmbeddedNats) -> TeamAccess:
    return team_access(broker)


@pytest.fixture
async def team(access: TeamAccess, product_nc: Client) -> Team:
    granted, _ = await access.grant("analytics")
    return granted


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product of this folder's own: its tests publish prices, empty wallets and add teams."""
    grants = {"BILLING_GRANT_SOFT_TTL_S": "2", "BILLING_GRANT_HARD_TTL_S": "4"}  # so that one is soon lost
    chain = {"CHAIN_BLOCK_S": "0"}  # blocks come by command
    folder = tmp_path_factory.mktemp("product")
    running = Product(folder, edges=1, deposits=True, env={"billing": grants, "chain": chain})
    try:
        running.start()
        yield running
    finally:
        running.stop()
