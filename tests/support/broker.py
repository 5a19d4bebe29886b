"""A real NATS of a test's own."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import nats.js.errors
from nats.js.client import JetStreamContext

from tt_common.deploy import deploy
from tt_sandbox.stack.nats_server import EmbeddedNats


@contextmanager
def running_broker(folder: Path) -> Iterator[EmbeddedNats]:
    """A server with its data in `folder`, until the end of the block."""
    server = EmbeddedNats(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


STORE_NOT_MADE: Final = 10049
STORE_TRIES: Final = 50
STORE_RETRY_S: Final = 0.1


async def fresh_streams(js: JetStreamContext) -> None:
    """The product's streams and buckets, empty: what was there is gone.

    The server removes a stream's folder after it has answered, and makes no store of the same name meanwhile.
    """
    for stream in await js.streams_info():
        await js.delete_stream(stream.config.name or "")
    for _ in range(STORE_TRIES - 1):
        try:
            await deploy(js)
        except nats.js.errors.ServerError as error:
            if error.err_code != STORE_NOT_MADE:
                raise
            await asyncio.sleep(STORE_RETRY_S)
        else:
            return
    await deploy(js)
