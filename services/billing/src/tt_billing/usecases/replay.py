"""Rebuild every projection from the log and compare; the log is the truth. Changes nothing."""

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tt_billing.store.replay import PROJECTIONS, Difference, differences, ledger_size
from tt_billing.store.rows import run


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """`transfers` were replayed; no differences is what it should be."""

    transfers: int
    projections: tuple[str, ...]
    differences: tuple[Difference, ...]


async def replay(engine: AsyncEngine) -> ReplayReport:
    """One snapshot, so it may run beside the service."""
    async with engine.connect() as connection:
        connection = await snapshot(connection)
        found = [d for name, sql in PROJECTIONS.items() for d in await differences(connection, name, sql)]
        return ReplayReport(
            transfers=await ledger_size(connection),
            projections=tuple(PROJECTIONS),
            differences=tuple(found),
        )


async def snapshot(connection: AsyncConnection) -> AsyncConnection:
    """The connection in a transaction that sees one moment, without a time limit for a statement."""
    connection = await connection.execution_options(isolation_level="REPEATABLE READ")
    await run(connection, "SET LOCAL statement_timeout = 0")
    await run(connection, "SET LOCAL idle_in_transaction_session_timeout = 0")
    return connection
