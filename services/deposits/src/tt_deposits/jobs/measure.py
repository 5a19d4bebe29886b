"""Every few seconds: how far the scan is and what the database holds, as gauges. Never changes anything, never ends for an error."""

import asyncio
import logging
from typing import Final, get_args

from nats.aio.client import Client
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from tt_common.errors import Unavailable
from tt_deposits.domain.records import StoredState
from tt_deposits.store.measures import read_measures
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.scanner_state import blocks_behind

log = logging.getLogger(__name__)

EVERY_S: Final = 5.0
HEADS_AGE_S: Final = 15.0
MS_PER_S: Final = 1000


class Measuring:
    """`run` until `stopping` is set."""

    def __init__(self, context: Context, engine: AsyncEngine, nc: Client) -> None:
        self._context = context
        self._engine = engine
        self._nc = nc

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            self._context.metrics.nats_connected.set(int(self._nc.is_connected))
            try:
                await self._database()
                self._context.metrics.database_up.set(1)
            except (SQLAlchemyError, OSError, Unavailable) as error:
                self._context.metrics.database_up.set(0)
                log.info("not measured", extra={"error": type(error).__name__})
            try:
                await asyncio.wait_for(stopping.wait(), EVERY_S)
            except TimeoutError:
                continue

    async def _database(self) -> None:
        context, metrics = self._context, self._context.metrics
        heads = await context.nodes.heads(HEADS_AGE_S)
        async with context.database.begin() as unit:
            cursor = await unit.read_cursor(context.rules.network)
            halted = await unit.read_halt(context.rules.network)
            addresses = await unit.count_addresses_by_use()
        async with self._engine.connect() as connection:
            measures = await read_measures(connection)
        now_ms = context.now_ms()
        metrics.halted.set(int(halted is not None))
        metrics.cursor_lag.set(blocks_behind(cursor, heads))
        if cursor is not None:
            metrics.cursor_height.set(cursor.block.height)
            context.progress.note(cursor.block.height, heads.solid.height if heads.solid else cursor.block.height)
        for gauge, block in ((metrics.head_age, heads.head), (metrics.solid_age, heads.solid)):
            if block is not None:
                gauge.set(max(0.0, (now_ms - block.time_ms) / MS_PER_S))
        metrics.outbox.set(measures.outbox)
        since_ms = measures.unbooked_since_ms
        metrics.unbooked_age.set(0.0 if since_ms is None else max(0.0, (now_ms - since_ms) / MS_PER_S))
        for state in get_args(StoredState):
            metrics.deposits.labels(state).set(measures.deposits.get(state, 0))
        for use in ("assigned", "spare", "skipped", "conflict", "blacklisted"):
            metrics.addresses.labels(use).set(getattr(addresses, use))
