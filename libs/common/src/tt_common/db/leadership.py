"""One leader among the processes of a service, by a PostgreSQL session advisory lock.

Invariant: at most one process runs a `lead` body for a lock number at a time; the lock goes with the connection, so a dead leader's is
free at once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

log = logging.getLogger(__name__)

RETRY_S = 1.0


async def lead(engine: AsyncEngine, lock: int, tick: Callable[[], Awaitable[float]], stopping: asyncio.Event) -> None:
    """While leading, call `tick` again and again, each time waiting the seconds that it returns. Runs until `stopping` is set.

    A tick that raises is logged and repeated after RETRY_S. The lock is checked before every tick.
    """
    while not stopping.is_set():
        try:
            async with engine.connect() as connection:
                connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
                if await _acquire(connection, lock):
                    await _tick_while_leading(connection, lock, tick, stopping)
        except (SQLAlchemyError, OSError) as error:
            log.warning("leadership interrupted", extra={"lock": lock, "error": type(error).__name__})
        await _wait(stopping, RETRY_S)


async def _acquire(connection: AsyncConnection, lock: int) -> bool:
    return bool((await connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": lock})).scalar())


async def _tick_while_leading(
    connection: AsyncConnection, lock: int, tick: Callable[[], Awaitable[float]], stopping: asyncio.Event
) -> None:
    try:
        while not stopping.is_set():
            await connection.execute(text("SELECT 1"))
            try:
                wait_s = await tick()
            except Exception as error:
                log.warning("tick failed", extra={"lock": lock, "error": repr(error)})
                wait_s = RETRY_S
            await _wait(stopping, wait_s)
    finally:
        if not connection.closed:
            await connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": lock})


async def _wait(stopping: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return
