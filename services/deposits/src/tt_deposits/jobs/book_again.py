"""Every few seconds, by the leader: entries that billing has not answered are asked again."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from tt_common.db.leadership import lead
from tt_deposits.usecases.book_again import book_again
from tt_deposits.usecases.context import Context

LOCK = 7_305_031
EVERY_S = 5.0
BATCH_MAX = 200
"""A tick asks for so many at most: after a long outage billing is not swamped."""


async def run_book_again(context: Context, engine: AsyncEngine, stopping: asyncio.Event) -> None:
    """Until `stopping` is set."""

    async def tick() -> float:
        await book_again(context, BATCH_MAX)
        return EVERY_S

    await lead(engine, LOCK, tick, stopping)
