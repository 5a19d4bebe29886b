"""The leader's scan: new solid blocks first, then a step of a re-scan. A standby takes over when the leader's connection is gone."""

import asyncio
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from tt_common.db.leadership import lead
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.rescan import rescan_step
from tt_deposits.usecases.scan_blocks import ScanBlocks

LOCK: Final = 7_305_020


async def run_scanner(context: Context, engine: AsyncEngine, stopping: asyncio.Event) -> None:
    """Until `stopping` is set. A step of a re-scan a look: nodes have other work, and keys have limits."""
    scan = ScanBlocks(context)

    async def tick() -> float:
        more = await scan.step()
        await rescan_step(context)
        return 0.0 if more else context.watch.poll_s

    try:
        await lead(engine, LOCK, tick, stopping)
    finally:
        await scan.stop()
