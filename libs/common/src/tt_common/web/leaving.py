"""Leaving before stopping: on SIGTERM a server says on /readyz that it goes, and takes calls until load balancers have noticed.

Without it the connections that reach a server at the moment when it stops listening break unanswered: one in some thousands.
"""

import asyncio
import signal
from types import FrameType

import uvicorn

from tt_common.clock import monotonic_s


class Leaving:
    """Whether this process is about to stop, for its /readyz and its server."""

    def __init__(self, leave_s: float) -> None:
        """`leave_s` is the time between the signal and the stop; 0 stops at once."""
        self.leave_s = leave_s
        self.stopping = asyncio.Event()
        """Set when the server stops: answers that have no end of their own end now."""
        self._stop_at_s: float | None = None

    @property
    def begun(self) -> bool:
        return self._stop_at_s is not None

    @property
    def over(self) -> bool:
        """Whether it is time to stop."""
        return self._stop_at_s is not None and monotonic_s() >= self._stop_at_s

    def begin(self) -> None:
        """The signal came."""
        self._stop_at_s = monotonic_s() + self.leave_s

    async def check(self) -> str | None:
        """For `health_router`."""
        return "about to stop" if self.begun else None


class LeavingServer(uvicorn.Server):
    """uvicorn, whose first SIGTERM begins the leaving. A second one, or SIGINT, stops it at once."""

    def __init__(self, config: uvicorn.Config, leaving: Leaving) -> None:
        super().__init__(config)
        self._leaving = leaving

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Runs as the signal handler."""
        if sig == signal.SIGTERM and self._leaving.leave_s and not self._leaving.begun:
            self._leaving.begin()
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """uvicorn asks ten times a second."""
        if self._leaving.over and not self.should_exit:
            self.handle_exit(signal.SIGTERM, None)
        stops = await super().on_tick(counter)
        if stops:
            self._leaving.stopping.set()
        return stops
