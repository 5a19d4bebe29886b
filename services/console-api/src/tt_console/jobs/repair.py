"""Every minute, and at once at start: what the buckets lack is put again. One process of the service does it."""

import asyncio
import logging
from typing import Final

from nats.aio.client import Client

from tt_common.contracts.streams import CATALOG, KEYS
from tt_common.db.leadership import lead
from tt_console.clients.bucket import BucketRevisions
from tt_console.store.database import PostgresDatabase
from tt_console.usecases.repair_buckets import repair_catalog, repair_keys

log = logging.getLogger(__name__)

EVERY_S: Final = 60.0
LOCK: Final = 7_305_101


class RepairJob:
    """Runs the repair while this process leads."""

    def __init__(self, database: PostgresDatabase, nc: Client) -> None:
        self._database = database
        self._keys = BucketRevisions(nc, KEYS)
        self._catalog = BucketRevisions(nc, CATALOG)

    async def run(self, stopping: asyncio.Event) -> None:
        await lead(self._database.engine, LOCK, self._tick, stopping)

    async def _tick(self) -> float:
        for bucket, repair in (
            (KEYS.name, await repair_keys(self._database, self._keys)),
            (CATALOG.name, await repair_catalog(self._database, self._catalog)),
        ):
            if repair.put:
                log.warning("records put again", extra={"bucket": bucket, "records": repair.put})
            if repair.newer:
                log.error("the bucket is newer than the database", extra={"bucket": bucket, "records": repair.newer})
        return EVERY_S
