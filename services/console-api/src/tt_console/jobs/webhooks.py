"""Delivers what is due to customers' webhooks, a bounded number at a time. Several processes may run it: each claims its own."""

import asyncio
import logging
from collections import Counter
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from tt_common.clock import now_ms
from tt_console.domain.webhooks import Delivery
from tt_console.store.database import PostgresDatabase
from tt_console.usecases.deliver_webhook import deliver_webhook
from tt_console.usecases.metrics import ConsoleMetrics
from tt_console.usecases.ports import Sender

log = logging.getLogger(__name__)

IN_FLIGHT_MAX: Final = 32
LOOK_EVERY_S: Final = 0.5


class WebhookJob:
    """Claims and delivers until told to stop; a claim that is not recorded is due again when its lease is over."""

    def __init__(self, database: PostgresDatabase, sender: Sender, metrics: ConsoleMetrics) -> None:
        self._database = database
        self._sender = sender
        self._metrics = metrics
        self._in_flight: dict[asyncio.Task[None], str] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping` is set and what is under way has ended; a database that is away is waited out."""
        try:
            while not stopping.is_set():
                for delivery in await self._claim():
                    task = asyncio.create_task(self._deliver(delivery))
                    self._in_flight[task] = delivery.endpoint_id
                    task.add_done_callback(self._in_flight.pop)
                try:
                    await asyncio.wait_for(stopping.wait(), LOOK_EVERY_S)
                except TimeoutError:
                    continue
            if self._in_flight:
                await asyncio.wait(list(self._in_flight))
        finally:
            for task in list(self._in_flight):
                task.cancel()

    async def _claim(self) -> list[Delivery]:
        free = IN_FLIGHT_MAX - len(self._in_flight)
        if not free:
            return []
        busy = Counter(self._in_flight.values())
        try:
            async with self._database.transaction() as unit:
                return await unit.deliveries.claim(free, busy.keys(), now_ms())
        except (SQLAlchemyError, OSError) as error:
            log.warning("deliveries not claimed, next time", extra={"error": type(error).__name__})
            return []

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            outcome = await deliver_webhook(self._database, self._sender, delivery, now_ms)
        except (SQLAlchemyError, OSError) as error:
            log.warning("attempt not recorded, again after the lease", extra={"error": type(error).__name__})
            return
        if outcome is not None:
            self._metrics.webhook_attempts.labels(outcome).inc()
