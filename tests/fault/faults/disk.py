"""The disk of an edge's journal: it gives no space, or takes no byte.

A limit on the size of the process's files (RLIMIT_FSIZE) makes the kernel refuse as a full disk does, for that process alone
and without a file system of its own: no rights are needed.
"""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psutil

from tests.fault.faults.fault import Fault, bring_up
from tests.fault.world import World
from tt_sandbox.stack.service import Service

EXITS_WITHIN_S: Final = 20.0


async def journal_disk_refuses(world: World, edge: Service, rng: random.Random) -> None:
    """Not a byte can be written: no call may begin; what is under way is settled in memory and published."""
    with file_limit(edge, 0):
        await asyncio.sleep(rng.uniform(0.2, 1.5))


async def journal_disk_full_at_start(world: World, edge: Service, rng: random.Random) -> None:
    """An edge that can't have its segments does not start, and leaves what it has to recover as it was."""
    edge.kill()
    edge.launch()
    with file_limit(edge, 1024 * 1024):
        exit_code = await asyncio.to_thread(edge.process.wait, EXITS_WITHIN_S)
    assert exit_code not in (None, 0), f"{edge.name} runs without a journal ({exit_code})"
    await asyncio.to_thread(bring_up, edge)


@contextmanager
def file_limit(service: Service, size_bytes: int) -> Iterator[None]:
    """No file of the process may grow beyond `size_bytes`; it may end meanwhile."""
    process = psutil.Process(service.process.pid)
    before, hard = process.rlimit(psutil.RLIMIT_FSIZE)
    process.rlimit(psutil.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        if service.process.running:
            process.rlimit(psutil.RLIMIT_FSIZE, (before, hard))


FAULTS: Final = (
    Fault(journal_disk_refuses, "edge"),
    Fault(journal_disk_full_at_start, "edge"),
)
