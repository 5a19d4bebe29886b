"""Waiting for what becomes true by itself, bounded, with a reason when it doesn't."""

import time
from collections.abc import Callable
from typing import TypeVar

ResultT = TypeVar("ResultT")

POLL_S = 0.05
WAIT_S = 60.0


def eventually(look: Callable[[], ResultT | None], what: str, timeout_s: float = WAIT_S) -> ResultT:
    """The first value of `look` that is neither None nor False nor an empty list. Fails with `what` was waited for, and the last value."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = look()
        if value is not None and value is not False and value != []:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s:.0f} s (last seen: {value!r})")
        time.sleep(POLL_S)
