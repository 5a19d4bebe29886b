"""The operational clock: milliseconds in which billing and its stream were both there."""

from sqlalchemy.ext.asyncio import AsyncConnection

from tt_common.db.rows import run


async def advance_clock(connection: AsyncConnection, elapsed_ms: int) -> int:
    """Let `elapsed_ms` pass; returns the new time."""
    result = await run(
        connection, "UPDATE billing_clock SET clock_ms = clock_ms + :elapsed RETURNING clock_ms", elapsed=elapsed_ms
    )
    return int(result.scalar_one())
