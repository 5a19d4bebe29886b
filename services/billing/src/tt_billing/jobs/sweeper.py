"""The leader's second hand: advances the operational clock and lets time do its work on grants and holds.

Invariant: time passes only while database and USAGE both answer, at most two seconds a tick, so an outage or a jump
of the wall clock never expires anything.
"""

import asyncio
import logging

from nats.aio.client import Client
from sqlalchemy.ext.asyncio import AsyncEngine

from tt_billing.consumers.usage import DURABLE
from tt_billing.store.clock import advance_clock
from tt_billing.store.epochs import advance_watermark, gaps
from tt_billing.usecases.context import Context
from tt_billing.usecases.sweep_grants import (
    end_grants_of_closed_epochs,
    end_lost_grants,
    expire_overdue_holds,
    lose_silent_grants,
)
from tt_common.clock import monotonic_s
from tt_common.contracts.streams import USAGE
from tt_common.db.leadership import lead

log = logging.getLogger(__name__)

LOCK = 7_305_010
TICK_S = 1.0
STEP_S_MAX = 2.0
GAP_CHECK_EVERY_S = 10.0
GAP_ALARM_S = 60.0


class Sweeper:
    """One a process; the one that leads works."""

    def __init__(self, context: Context, engine: AsyncEngine, nc: Client, lost_grant_s: float) -> None:
        self._context = context
        self._engine = engine
        self._js = nc.jetstream(timeout=2)
        self._lost_grant_s = lost_grant_s
        self._ticked_s: float | None = None
        self._gaps_checked_s = 0.0
        self._gap_since: dict[tuple[str, int], float] = {}
        self._gaps_told: set[tuple[str, int]] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        await lead(self._engine, LOCK, self._tick, stopping)

    async def _tick(self) -> float:
        last_seq, settled_seq = await self._stream_state()
        now_s = monotonic_s()
        elapsed_s = 0.0 if self._ticked_s is None else min(now_s - self._ticked_s, STEP_S_MAX)
        async with self._engine.begin() as connection:
            await advance_clock(connection, int(elapsed_s * 1000))
        self._ticked_s = now_s
        await end_grants_of_closed_epochs(self._context)
        await lose_silent_grants(self._context, last_seq)
        await end_lost_grants(self._context, self._lost_grant_s, settled_seq, last_seq)
        await expire_overdue_holds(self._context)
        if now_s - self._gaps_checked_s >= GAP_CHECK_EVERY_S:
            self._gaps_checked_s = now_s
            await self._watch_gaps(now_s)
        return TICK_S

    async def _stream_state(self) -> tuple[int, int]:
        """The last sequence in USAGE, and the one through which the durable has settled everything."""
        stream = await self._js.stream_info(USAGE.name)
        consumer = await self._js.consumer_info(USAGE.name, DURABLE)
        last_seq = stream.state.last_seq
        if not consumer.num_pending and not consumer.num_ack_pending:
            return last_seq, last_seq
        return last_seq, (consumer.ack_floor.stream_seq if consumer.ack_floor else 0)

    async def _watch_gaps(self, now_s: float) -> None:
        """A missing event is told of once, when it has been missing for a minute."""
        present: dict[tuple[str, int], float] = {}
        async with self._engine.begin() as connection:
            for gap in await gaps(connection):
                if await advance_watermark(connection, gap.boot_epoch) > gap.watermark:
                    continue
                key = (gap.boot_epoch, gap.watermark)
                present[key] = self._gap_since.get(key, now_s)
                if now_s - present[key] >= GAP_ALARM_S and key not in self._gaps_told:
                    self._gaps_told.add(key)
                    log.error(
                        "usage events are missing",
                        extra={"edge_id": gap.edge_id, "boot_epoch": gap.boot_epoch, "after_seq": gap.watermark},
                    )
        self._gap_since = present
        missing = sum(now_s - since_s >= GAP_ALARM_S for since_s in present.values())
        self._context.metrics.missing_events.set(missing)
        self._gaps_told &= set(present)
