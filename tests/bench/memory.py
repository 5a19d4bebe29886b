"""The memory of an edge worker: when it is ready and has served nothing, and what it grows by over a hundred thousand calls.

Resident memory of the fresh process, looked at whenever every event so far is settled, so that what only waits is not counted.
"""

import psutil

from tests.bench.findings import Finding
from tests.bench.measures import CONNECTIONS, Bench
from tests.bench.requests import Ask

CALLS = 100_000
# Until pools and caches are as large as this load needs them.
WARM_UP_CALLS = 2_000
CHUNK_S = 10.0
WARM_UP_CHUNK_S = 1.0
MIB = 1024 * 1024


async def measure_memory(bench: Bench, calls: int) -> list[Finding]:
    """Raises BadAnswer. Restarts the edge."""
    await bench.bed.restart_edge()
    idle = _mib(bench)
    served = 0
    while served < WARM_UP_CALLS:
        served += await _serve(bench, WARM_UP_CHUNK_S)
    warm = _mib(bench)
    highest, counted = warm, 0
    while counted < calls:
        counted += await _serve(bench, CHUNK_S)
        highest = max(highest, _mib(bench))
    grown = _mib(bench) - warm
    return [
        Finding("memory_idle_mib", "memory of a worker that is ready", f"{idle:.0f} MiB", idle, "180 MiB"),
        Finding(
            "memory_growth_mib",
            f"its growth over {counted:,} calls, after the first {served:,} ({warm - idle:.0f} MiB; {highest:.0f} MiB at most)",
            f"{grown:.1f} MiB",
            grown,
            "20 MiB",
        ),
    ]


async def _serve(bench: Bench, seconds: float) -> int:
    """Whole answers and streams in equal time; how many calls, all settled."""
    whole = await bench.run("edge", Ask(), CONNECTIONS, seconds / 2)
    streamed = await bench.run("edge", Ask(stream=True), CONNECTIONS, seconds / 2)
    await bench.bed.quiet()
    return whole.completed + streamed.completed


def _mib(bench: Bench) -> float:
    return psutil.Process(bench.bed.pid("edge")).memory_info().rss / MIB
