"""Named points at which fault tests make the process die, as a crash would: no cleanup, exit status 137.

Off unless EDGE_CRASH_AT names a point. Never does anything else.
"""

import os
from collections.abc import Callable
from typing import Literal

CrashPoint = Literal[
    "",
    "after_started",
    "before_settled",
    "after_settled",
    "mid_stream",
    "recovery_written",
    "recovery_published",
]
"""after_started: the call is journaled, no provider called. before_settled: the provider has answered, nothing of it is
journaled. after_settled: journaled, neither published nor sent to the client. mid_stream: a part of a stream was sent.
recovery_written: a dead epoch's unresolved events are on disk. recovery_published: all its events are published."""

CrashCheck = Callable[[CrashPoint], None]
EXIT_STATUS = 137


def never(point: CrashPoint) -> None:
    """The check of a process that is not under test."""


def crash_check(crash_at: CrashPoint, crash_after: int) -> CrashCheck:
    """A function to call at each point; it ends the process at the `crash_after`-th pass of `crash_at`."""
    if not crash_at:
        return never
    passes = 0

    def check(point: CrashPoint) -> None:
        nonlocal passes
        if point == crash_at:
            passes += 1
            if passes >= crash_after:
                os._exit(EXIT_STATUS)

    return check
