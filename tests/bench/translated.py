"""What a translation costs: OpenAI's calls and streams to a model that speaks Anthropic's dialect or Gemini's, beside the same to one that
speaks OpenAI's. Both go through the edge, in turns, and say as many tokens.
"""

import statistics
from typing import Final

import httpx

from tests.bench.findings import Finding
from tests.bench.measures import ACCOUNTS, CONNECTIONS, WARM_UP_S, Bench
from tests.bench.processors import busy_s
from tests.bench.requests import OUTPUT_TOKENS, Ask

PROMPT_TOKENS: Final = 60
MODELS: Final = {"anthropic": ("claude-3-5-sonnet", "claude-3-5-sonnet-20241022"), "gemini": ("gemini-1.5-pro",) * 2}
"""By dialect: the catalog's name, and the provider's."""
AIMS: Final = {False: "70 %", True: "60 %"}


async def measure_translated(bench: Bench, rounds: int, seconds: float) -> list[Finding]:
    """Raises BadAnswer."""
    async with httpx.AsyncClient(base_url=bench.bed.stack.sandbox_url, trust_env=False) as http:
        for _, upstream in MODELS.values():
            told = {"model": upstream, "prompt_tokens": PROMPT_TOKENS, "output_tokens": OUTPUT_TOKENS}
            (await http.post("/sandbox/faults", json=told)).raise_for_status()
    found: list[Finding] = []
    for stream in (False, True):
        asks = {"openai": Ask(stream=stream, prompt_tokens=PROMPT_TOKENS)} | {
            dialect: Ask(stream=stream, prompt_tokens=PROMPT_TOKENS, model=model, plain=True)
            for dialect, (model, _) in MODELS.items()
        }
        taken: dict[str, list[tuple[float, float]]] = {dialect: [] for dialect in asks}
        for _ in range(rounds):
            for dialect, ask in asks.items():
                taken[dialect].append(await _round(bench, ask, seconds))
        found += [_finding(dialect, stream, taken) for dialect in MODELS]
    return found


async def _round(bench: Bench, ask: Ask, seconds: float) -> tuple[float, float]:
    """Calls a second, and calls a second of the edge's processor."""
    await bench.run("edge", ask, CONNECTIONS, WARM_UP_S, accounts=ACCOUNTS)
    pid = bench.bed.pid("edge")
    before = busy_s(pid)
    result = await bench.run("edge", ask, CONNECTIONS, seconds, accounts=ACCOUNTS)
    used = busy_s(pid) - before
    await bench.bed.quiet()
    return result.per_second, result.completed / used


def _finding(dialect: str, stream: bool, taken: dict[str, list[tuple[float, float]]]) -> Finding:
    same, other = taken["openai"], taken[dialect]
    ratio = statistics.median(there[0] / here[0] for there, here in zip(other, same, strict=True))
    busy = statistics.median(there[1] / here[1] for there, here in zip(other, same, strict=True))
    what = "streams" if stream else "calls"
    title = f"{what}/s translated to {dialect}, of those of the same protocol (per processor second of the edge)"
    rates = f"{ratio:.0%} ({busy:.0%})"
    return Finding(f"translated_{what}_{dialect}", title, rates, ratio, AIMS[stream])
