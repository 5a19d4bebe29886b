"""Removes sessions and attempt windows that are over. Safe in several processes at once."""

import asyncio
import logging
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from tt_common.clock import now_ms
from tt_console.store.database import PostgresDatabase

log = logging.getLogger(__name__)

EVERY_S: Final = 300.0


async def sweep_expired(database: PostgresDatabase, stopping: asyncio.Event) -> None:
    """Until `stopping` is set; a database that is away is waited out."""
    while not stopping.is_set():
        try:
            async with database.transaction() as unit:
                await unit.identity.sweep(now_ms())
                await unit.webhooks.sweep(now_ms())
        except (SQLAlchemyError, OSError) as error:
            log.warning("sweep failed, next time", extra={"error": type(error).__name__})
        try:
            await asyncio.wait_for(stopping.wait(), EVERY_S)
        except TimeoutError:
            continue
