"""At start and every hour: room for the calls of this month and the next, before the first one comes. Safe in several processes at once.

The consumer makes any other month in the transaction that needs it, so that an event may be early or late as it likes.
"""

import asyncio
import logging
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from tt_common.clock import now_ms
from tt_console.domain.usage import DAY_MS
from tt_console.store.database import PostgresDatabase

log = logging.getLogger(__name__)

EVERY_S: Final = 3600.0
AHEAD_DAYS: Final = (0, 15, 31)  # no month is longer, so whatever day it is the next month is among them


async def make_usage_months(database: PostgresDatabase, stopping: asyncio.Event) -> None:
    """Until `stopping` is set; a database that is away is waited out."""
    while not stopping.is_set():
        try:
            async with database.transaction() as unit:
                await unit.usage.make_months([now_ms() + days * DAY_MS for days in AHEAD_DAYS])
        except (SQLAlchemyError, OSError) as error:
            log.warning("months not made, next time", extra={"error": type(error).__name__})
        try:
            await asyncio.wait_for(stopping.wait(), EVERY_S)
        except TimeoutError:
            continue
