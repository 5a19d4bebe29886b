"""Transactions as the use cases know them.

A database that can't be reached becomes Unavailable here, and nowhere else.
"""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import psycopg
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tt_common.db.rows import run
from tt_common.errors import Unavailable
from tt_deposits.store import chain, outbox

log = logging.getLogger(__name__)


class PostgresUnit:
    """The store's functions, bound to one connection in a transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.enqueue_events = partial(outbox.enqueue_events, connection)

        self.pin_xpub = partial(chain.pin_xpub, connection)
        self.read_cursor = partial(chain.read_cursor, connection)
        self.read_halt = partial(chain.read_halt, connection)
        self.add_halt = partial(chain.add_halt, connection)
        self.end_halt = partial(chain.end_halt, connection)


class PostgresDatabase:
    """See usecases.ports.Database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PostgresUnit]:
        with _unavailable():
            async with self._engine.begin() as connection:
                yield PostgresUnit(connection)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[PostgresUnit]:
        with _unavailable():
            async with self._engine.connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ")
                await run(connection, "SET LOCAL statement_timeout = 0")
                await run(connection, "SET LOCAL idle_in_transaction_session_timeout = 0")
                yield PostgresUnit(connection)


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, psycopg.Error, OSError) as error:
        log.warning("the database did not do it", extra={"error": type(error).__name__})
        raise Unavailable("deposits can't be reached now") from error
