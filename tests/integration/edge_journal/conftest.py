"""A real NATS for each test file, with the product's streams; connections that come back fast."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.broker import running_broker
from tt_common.bus.connection import connect
from tt_common.bus.lean_client import LeanClient
from tt_common.deploy import deploy
from tt_sandbox.stack.nats_server import EmbeddedNats


@pytest.fixture
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedNats]:
    with running_broker(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
async def nc(broker: EmbeddedNats) -> AsyncIterator[LeanClient]:
    client = await connect(broker.url, "tests")
    await deploy(client.jetstream(timeout=10))
    yield client
    await client.close()
