"""Reconciliations: one a day by the leader, and one whenever an operator asks any process for it; never two at a time."""

import asyncio
import logging
from collections.abc import Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from tt_common.clock import monotonic_s
from tt_common.contracts.deposits import GetReconciliation, ReconciliationReport, RunReconciliation
from tt_common.db.leadership import lead
from tt_deposits.store.reconciliations import reconciling_alone
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.desk_ports import Ledger, Witness
from tt_deposits.usecases.reconcile import get_report, publish, reconcile

log = logging.getLogger(__name__)

SCHEDULE_LOCK = 7_305_034
LOOK_EVERY_S = 5.0
AGAIN_S = 600.0
"""After one that could not compare everything."""
FIRST_AFTER_S = 60.0
"""After this process began to lead: when all services start together, billing may not answer yet."""
MS_PER_S = 1000


class Reconciler:
    """`run` keeps the schedule until `stopping` is set; `ask` starts one now."""

    def __init__(
        self, context: Context, engine: AsyncEngine, witnesses: Sequence[Witness], ledger: Ledger, every_s: float
    ) -> None:
        self._context = context
        self._engine = engine
        self._witnesses = witnesses
        self._ledger = ledger
        self._every_s = every_s
        self._leads_since_s: float | None = None
        self._asked: asyncio.Task[None] | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        try:
            await lead(self._engine, SCHEDULE_LOCK, self._tick, stopping)
        finally:
            if self._asked is not None:
                self._asked.cancel()

    async def ask(self, request: RunReconciliation) -> ReconciliationReport:
        """In the background; answers with the last report there is. Where one runs already, that is the one."""
        if self._asked is None or self._asked.done():
            log.info("reconciliation asked for", extra={"actor": request.actor})
            self._asked = asyncio.create_task(self._alone())
        report = await get_report(self._context, GetReconciliation())
        return msgspec.structs.replace(report, running=True)

    async def _tick(self) -> float:
        last = await publish(self._context)
        if self._leads_since_s is None:
            self._leads_since_s = monotonic_s()
        waited = monotonic_s() - self._leads_since_s >= min(FIRST_AFTER_S, self._every_s)
        due_ms = 0.0
        if last is not None:
            wait_s = min(self._every_s, AGAIN_S) if last.unchecked else self._every_s
            due_ms = (last.made_at_ms or 0) + wait_s * MS_PER_S
        if waited and self._context.now_ms() >= due_ms and await self._has_blocks():
            await self._alone()
        return min(LOOK_EVERY_S, self._every_s)

    async def _has_blocks(self) -> bool:
        """Before the first block there is nothing to compare."""
        async with self._context.database.begin() as unit:
            return await unit.read_cursor(self._context.rules.network) is not None

    async def _alone(self) -> None:
        """While the lock is held here; where another process has it, that one's report will do."""
        try:
            async with reconciling_alone(self._engine) as alone:
                if alone:
                    await reconcile(self._context, self._witnesses, self._ledger, whole=False)
        except Exception as error:
            log.error("reconciliation failed", extra={"error": repr(error)})
