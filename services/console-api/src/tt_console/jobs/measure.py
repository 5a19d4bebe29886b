"""Every few seconds: what waits in the outbox and in USAGE, as gauges. Never changes anything, never ends for an error."""

import asyncio
import logging
from typing import Final

import nats.errors
from nats.aio.client import Client
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from tt_common.contracts.streams import USAGE
from tt_common.telemetry.consuming import UsageMeter
from tt_console.consumers.usage import DURABLE
from tt_console.store.outbox import outbox_size
from tt_console.usecases.metrics import ConsoleMetrics

log = logging.getLogger(__name__)

EVERY_S: Final = 5.0


async def measure_for_ever(
    engine: AsyncEngine, nc: Client, metrics: ConsoleMetrics, usage: UsageMeter, stopping: asyncio.Event
) -> None:
    """Until `stopping` is set."""
    js = nc.jetstream(timeout=2)
    while not stopping.is_set():
        try:
            metrics.outbox.set(await outbox_size(engine))
            metrics.database_up.set(1)
        except (SQLAlchemyError, OSError) as error:
            metrics.database_up.set(0)
            log.info("outbox not measured", extra={"error": type(error).__name__})
        metrics.nats_connected.set(int(nc.is_connected))
        if nc.is_connected:
            try:
                consumer = await js.consumer_info(USAGE.name, DURABLE)
                usage.backlog.set((consumer.num_pending or 0) + (consumer.num_ack_pending or 0))
            except (nats.errors.Error, TimeoutError, OSError) as error:
                log.info("stream not measured", extra={"error": type(error).__name__})
        try:
            await asyncio.wait_for(stopping.wait(), EVERY_S)
        except TimeoutError:
            continue
