"""The leader's look at the stream ADDRESSES: a database that was restored under it is told, a stream that was made anew is filled."""

import asyncio
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from tt_common.db.leadership import lead
from tt_deposits.usecases.adopt_addresses import adopt_addresses
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.ports import Assignments
from tt_deposits.usecases.put_back_addresses import put_back_addresses

LOCK: Final = 7_305_023
EVERY_S: Final = 10.0
BATCH_MAX: Final = 200
BATCH_EVERY_S: Final = 1.0
"""Deposits wait behind a batch in the outbox, and not behind a million addresses."""


async def run_assignments(
    context: Context, assignments: Assignments, engine: AsyncEngine, stopping: asyncio.Event
) -> None:
    """Until `stopping` is set."""

    async def tick() -> float:
        await adopt_addresses(context, assignments)
        more = await put_back_addresses(context, assignments, BATCH_MAX)
        return BATCH_EVERY_S if more else EVERY_S

    await lead(engine, LOCK, tick, stopping)
