"""How much waits in the outbox."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from tt_console.store.tables import outbox


async def outbox_size(engine: AsyncEngine) -> int:
    """Messages committed and not yet published."""
    async with engine.connect() as connection:
        return (await connection.execute(select(func.count()).select_from(outbox))).scalar_one()
