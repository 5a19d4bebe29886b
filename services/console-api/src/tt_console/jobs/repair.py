"""Every minute, and at once at start and after a reconnection: what the buckets lack is put again, what the database lacks is
adopted. One process of the service does it.
"""

import asyncio
import logging
from typing import Final

from nats.aio.client import Client

from tt_common.clock import monotonic_s, now_ms
from tt_common.contracts.streams import CATALOG, KEYS
from tt_common.db.leadership import lead
from tt_console.clients.bucket import BucketRevisions
from tt_console.store.database import PostgresDatabase
from tt_console.usecases.repair_buckets import repair_catalog, repair_keys

log = logging.getLogger(__name__)

EVERY_S: Final = 60.0
LOOK_EVERY_S: Final = 1.0
LOCK: Final = 7_305_101


class RepairJob:
    """Runs the repair while this process leads."""

    def __init__(self, database: PostgresDatabase, nc: Client) -> None:
        self._database = database
        self._keys = BucketRevisions(nc, KEYS)
        self._catalog = BucketRevisions(nc, CATALOG)
        self._due_s = 0.0

    async def run(self, stopping: asyncio.Event) -> None:
        await lead(self._database.engine, LOCK, self._tick, stopping)

    def hasten(self) -> None:
        """The broker may have lost its storage: look at once."""
        self._due_s = 0.0

    async def _tick(self) -> float:
        if monotonic_s() < self._due_s:
            return LOOK_EVERY_S
        for bucket, repair in (
            (KEYS.name, await repair_keys(self._database, self._keys, now_ms())),
            (CATALOG.name, await repair_catalog(self._database, self._catalog, now_ms())),
        ):
            if repair.put:
                log.warning("records put again", extra={"bucket": bucket, "records": repair.put})
            if repair.adopted:
                log.error(
                    "the bucket was newer than the database (restored from a backup?), its records are adopted",
                    extra={"bucket": bucket, "rows": repair.adopted},
                )
        self._due_s = monotonic_s() + EVERY_S
        return LOOK_EVERY_S
