"""Publish what a one-shot command put into the outbox before the command ends."""

import asyncio
import contextlib
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from tt_common.db.outbox import OutboxRelay
from tt_common.errors import Unavailable
from tt_console.store.outbox import outbox_size

DRAIN_TIMEOUT_S: Final = 15.0
LOOK_EVERY_S: Final = 0.05


async def drain_outbox(engine: AsyncEngine, relay: OutboxRelay) -> None:
    """Returns when the outbox is empty, whoever emptied it (a serving process may lead). Raises Unavailable after 15 s."""
    stopping = asyncio.Event()
    task = asyncio.create_task(relay.run(stopping))
    try:
        async with asyncio.timeout(DRAIN_TIMEOUT_S):
            # The relay that empties it may be another process's, so there is no event to wait for.
            while await outbox_size(engine):  # noqa: ASYNC110
                await asyncio.sleep(LOOK_EVERY_S)
    except TimeoutError:
        raise Unavailable(
            "the changes are stored but NATS did not take them; the console API will publish them"
        ) from None
    finally:
        stopping.set()
        relay.poke()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
