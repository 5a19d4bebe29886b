"""The leader's look at blocks that are not solid yet, beside the scanner: what is slow here delays no credit."""

import asyncio
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from tt_common.db.leadership import lead
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.scan_head import ScanHead

LOCK: Final = 7_305_021


async def run_head(context: Context, engine: AsyncEngine, stopping: asyncio.Event) -> None:
    """Until `stopping` is set."""
    scan = ScanHead(context)

    async def tick() -> float:
        await scan.step()
        return context.watch.poll_s

    await lead(engine, LOCK, tick, stopping)
