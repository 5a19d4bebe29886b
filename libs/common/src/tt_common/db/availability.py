"""A database that is not there now: waited for at the start, told of by /readyz, and `unavailable` to whoever asks meanwhile."""

import asyncio
import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import psycopg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from tt_common.db.rows import run
from tt_common.errors import Unavailable

log = logging.getLogger(__name__)

START_TRIES: Final = 60
START_RETRY_S: Final = 0.5


async def wait_for_database(engine: AsyncEngine, probe: str) -> None:
    """Until the statement `probe`, which reads what a migrated database has, is answered. Raises what it raises in the end."""
    for attempt in range(1, START_TRIES + 1):
        try:
            async with engine.connect() as connection:
                await run(connection, probe)
            return
        except (SQLAlchemyError, OSError) as error:
            if attempt == START_TRIES:
                raise
            log.info("waiting for the database", extra={"error": type(error).__name__})
            await asyncio.sleep(START_RETRY_S)


async def check_database(engine: AsyncEngine) -> str | None:
    """What /readyz says of it; None where it answers."""
    try:
        async with engine.connect() as connection:
            await run(connection, "SELECT 1")
    except (SQLAlchemyError, OSError):
        return "the database does not answer"
    return None


@contextmanager
def unavailable(message: str) -> Generator[None]:
    """Raises Unavailable with `message` where the database did not do what is asked within."""
    try:
        yield
    except (SQLAlchemyError, psycopg.Error, OSError) as error:
        log.warning("the database did not do it", extra={"error": type(error).__name__})
        raise Unavailable(message) from error
