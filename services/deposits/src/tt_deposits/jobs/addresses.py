"""Keeps spare addresses ready, on the leader."""

import asyncio
import logging
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from tt_common.db.leadership import lead
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.fill_addresses import fill_addresses
from tt_deposits.usecases.ports import NodeFailed

log = logging.getLogger(__name__)

LOCK: Final = 7_305_022


async def run_addresses(context: Context, engine: AsyncEngine, stopping: asyncio.Event) -> None:
    """Until `stopping` is set."""

    async def tick() -> float:
        try:
            added = await fill_addresses(context)
        except NodeFailed as error:
            log.info("spare addresses wait for a node", extra={"reason": str(error)})
            return context.watch.poll_s
        return 0.0 if added else context.watch.poll_s

    await lead(engine, LOCK, tick, stopping)
