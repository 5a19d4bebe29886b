"""Every few seconds, by the leader: recharge orders past their time expire."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from tt_common.db.leadership import lead
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.expire_orders import expire_orders

LOCK = 7_305_032
EVERY_S = 5.0
BATCH_MAX = 200


async def run_order_expiry(context: Context, engine: AsyncEngine, stopping: asyncio.Event) -> None:
    """Until `stopping` is set."""

    async def tick() -> float:
        expired = await expire_orders(context, BATCH_MAX)
        return 0.0 if expired == BATCH_MAX else EVERY_S

    await lead(engine, LOCK, tick, stopping)
