"""Slow jobs of the leader, each on its own interval: push prices again, purge USAGE, reconcile.

One that fails is tried again at its next turn.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from tt_common.clock import monotonic_s
from tt_common.db.leadership import lead

log = logging.getLogger(__name__)

LOCK = 7_305_011
TICK_S = 1.0


@dataclass
class Chore:
    """Runs first `first_after_s` after this process began to lead, then every `every_s`."""

    name: str
    every_s: float
    run: Callable[[], Awaitable[object]]
    first_after_s: float = 0.0
    on_reconnect: bool = False
    due_s: float | None = None


class Chores:
    """Runs what is due, one at a time."""

    def __init__(self, engine: AsyncEngine, chores: list[Chore]) -> None:
        self._engine = engine
        self._chores = chores

    async def run(self, stopping: asyncio.Event) -> None:
        await lead(self._engine, LOCK, self._tick, stopping)

    def hasten(self) -> None:
        """What is to be done at once after a reconnection (the broker may have lost its storage) is due now."""
        for chore in self._chores:
            if chore.on_reconnect:
                chore.due_s = 0.0

    async def _tick(self) -> float:
        for chore in self._chores:
            now_s = monotonic_s()
            if chore.due_s is None:
                chore.due_s = now_s + chore.first_after_s
            if chore.due_s > now_s:
                continue
            chore.due_s = now_s + chore.every_s
            try:
                await chore.run()
            except Exception as error:
                log.warning("chore failed", extra={"chore": chore.name, "error": repr(error)})
        return TICK_S
