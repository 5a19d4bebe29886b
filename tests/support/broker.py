"""A real NATS of a test's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
