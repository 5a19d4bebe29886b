"""Named points at which fault tests make the process die, as a crash would: no cleanup, exit status 137.

Off unless a service's <SERVICE>_CRASH_AT names a point. Never does anything else.
"""

import os
from collections.abc import Callable

CrashCheck = Callable[[str], None]
EXIT_STATUS = 137


def crash_check(crash_at: str, crash_after: int) -> CrashCheck:
    """A function to call at each point; it ends the process at the `crash_after`-th pass of `crash_at`."""
    passes = 0

    def check(point: str) -> None:
        nonlocal passes
        if point == crash_at:
            passes += 1
            if passes >= crash_after:
                os._exit(EXIT_STATUS)

    return check
