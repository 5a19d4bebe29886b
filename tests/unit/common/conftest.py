"""A real NATS for each test file that asks for one, empty streams and buckets for each test, and connections that come back fast."""

from collections.abc import AsyncIterator, Iterator

import pytest
from nats.aio.client import Client

from tests.support.broker import running_broker
from tt_common.bus.connection import connect
from tt_sandbox.stack.nats_server import EmbeddedNats


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedNats]:
    with running_broker(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
async def nc(broker: EmbeddedNats) -> AsyncIterator[Client]:
    client = await connect(broker.url, "tests")
    js = client.jetstream(timeout=5)
    for stream in await js.streams_info():
        assert stream.config.name is not None
        await js.delete_stream(stream.config.name)
    yield client
    await client.close()


@pytest.fixture
async def broker_nc(broker: EmbeddedNats) -> AsyncIterator[Client]:
    """A second connection, for tests that end it."""
    client = await connect(broker.url, "tests-second")
    yield client
    if not client.is_closed:
        await client.close()
