"""Every few seconds: what the database and the stream hold, as gauges. Never changes anything, never ends for an error."""

import asyncio
import logging
from typing import Final

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from tt_billing.consumers import deposits, usage
from tt_billing.store.measures import read_measures
from tt_billing.store.quarantine import count_quarantined
from tt_billing.usecases.metrics import BillingMetrics
from tt_common.contracts.streams import DEPOSITS, USAGE
from tt_common.telemetry.consuming import UsageMeter

log = logging.getLogger(__name__)

EVERY_S: Final = 5.0
MS_PER_S: Final = 1000


class Measuring:
    """`run` until `stopping` is set."""

    def __init__(self, engine: AsyncEngine, nc: Client, metrics: BillingMetrics, usage: UsageMeter) -> None:
        self._engine = engine
        self._nc = nc
        self._js = nc.jetstream(timeout=2)
        self._metrics = metrics
        self._usage = usage

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            await self._database()
            await self._stream()
            try:
                await asyncio.wait_for(stopping.wait(), EVERY_S)
            except TimeoutError:
                continue

    async def _database(self) -> None:
        metrics = self._metrics
        try:
            async with self._engine.connect() as connection:
                measures = await read_measures(connection)
                quarantined = await count_quarantined(connection)
        except (SQLAlchemyError, OSError) as error:
            metrics.database_up.set(0)
            log.info("not measured", extra={"error": type(error).__name__})
            return
        metrics.database_up.set(1)
        metrics.set_grants(measures.grants)
        metrics.quarantined.set(quarantined)
        metrics.outbox.set(measures.outbox)
        metrics.clock.set(measures.clock_ms / MS_PER_S)
        metrics.reconciled_at.set(measures.reconciled_at_ms / MS_PER_S)
        metrics.differences.set(measures.differences)

    async def _stream(self) -> None:
        metrics = self._metrics
        metrics.nats_connected.set(int(self._nc.is_connected))
        if not self._nc.is_connected:
            return
        try:
            stream = await self._js.stream_info(USAGE.name)
            settling = await self._js.consumer_info(USAGE.name, usage.DURABLE)
            booking = await self._js.consumer_info(DEPOSITS.name, deposits.DURABLE)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            log.info("stream not measured", extra={"error": type(error).__name__})
            return
        metrics.usage_bytes.set(stream.state.bytes)
        metrics.usage_bytes_max.set(stream.config.max_bytes or 0)
        self._usage.backlog.set((settling.num_pending or 0) + (settling.num_ack_pending or 0))
        metrics.deposits_backlog.set((booking.num_pending or 0) + (booking.num_ack_pending or 0))
