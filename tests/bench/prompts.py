"""What a growing prompt costs: the time that the edge adds to a call over the passthrough, by size, on one connection.

Sizes double, so that a step shows wherever it is: Nagle's algorithm against a delayed acknowledgement would be 40 ms.
"""

import statistics
from itertools import pairwise

from tests.bench.findings import Finding
from tests.bench.measures import PAUSE_S, Bench
from tests.bench.requests import QUESTION, Ask

SIZES_KIB = (1, 2, 4, 8, 16, 32, 64, 100, 128, 256, 512, 1024)
SHOWN_KIB = {1: "–", 100: "–", 1024: "15 ms"}
SECONDS = 0.3
STEP_MS = 35.0
# The provider is told what to count, so that both targets wait for the same.
PROMPT_TOKENS = 1_000


def ask_of(size_kib: int) -> Ask:
    """A prompt of words, of that size."""
    text = f"{QUESTION} " * (size_kib * 1024 // len(QUESTION))
    return Ask(question=text[: size_kib * 1024], prompt_tokens=PROMPT_TOKENS)


async def measure_prompts(bench: Bench, rounds: int) -> list[Finding]:
    """Raises BadAnswer."""
    asks = {size: ask_of(size) for size in SIZES_KIB}
    took: dict[str, dict[int, list[float]]] = {name: {size: [] for size in asks} for name in ("edge", "passthrough")}
    for _ in range(rounds):
        for size, ask in asks.items():
            for name, by_size in took.items():
                await bench.run(name, ask, 1, 0, accounts=1)
                result = await bench.run(name, ask, 1, SECONDS, pause_s=PAUSE_S, accounts=1)
                by_size[size].append(statistics.median(result.latency_s) * 1000)
        await bench.bed.quiet()
    medians = {name: {size: statistics.median(ms) for size, ms in sizes.items()} for name, sizes in took.items()}
    added = {size: medians["edge"][size] - medians["passthrough"][size] for size in asks}
    return [*_by_size(added, medians["passthrough"]), _growth(added), _steps(added)]


def _by_size(added: dict[int, float], bare: dict[int, float]) -> list[Finding]:
    return [
        Finding(
            f"prompt_{size}_kib_ms",
            f"a prompt of {size:,} KiB: added to the passthrough's time, p50",
            f"{added[size]:.2f} ms",
            added[size],
            aim,
            f"{bare[size]:.2f} ms",
        )
        for size, aim in SHOWN_KIB.items()
    ]


def _growth(added: dict[int, float]) -> Finding:
    """Linear where a KiB costs the same in both halves."""
    low, middle, high = SHOWN_KIB
    first = 1000 * (added[middle] - added[low]) / (middle - low)
    second = 1000 * (added[high] - added[middle]) / (high - middle)
    title = f"each KiB more adds, up to {middle} KiB / above"
    return Finding("prompt_kib_us", title, f"{first:.1f} µs / {second:.1f} µs", second, "the same")


def _steps(added: dict[int, float]) -> Finding:
    sizes = list(added)
    steps = [added[larger] - added[smaller] for smaller, larger in pairwise(sizes)]
    title = f"largest step from one of {len(sizes)} sizes to the next (Nagle's would be 40 ms)"
    return Finding("prompt_step_ms", title, f"{max(steps):.2f} ms", max(steps), f"under {STEP_MS:.0f} ms")
