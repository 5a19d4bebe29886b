"""Waiting for a condition in tests, instead of sleeping and hoping."""

import asyncio
from collections.abc import Callable

from tt_common.clock import monotonic_s


async def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Returns as soon as the condition holds; an AssertionError after `timeout_s`."""
    deadline = monotonic_s() + timeout_s
    while not condition():
        assert monotonic_s() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.005)
