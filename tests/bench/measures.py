"""What is measured: four ways to load a target, each in rounds that take the targets in turn.

The request is the same for every target but for the key. Taking turns within one run is what makes the ratios hold on a machine
whose speed changes from minute to minute.
"""

import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from tests.bench import load
from tests.bench.bed import ACCOUNTS, MODEL, Bed
from tests.bench.processors import busy_s
from tt_sandbox.stack.ports import HOST

EVENTS = 22
# The role, the tokens, the finish, the usage and [DONE] are the events of a stream.
OUTPUT_TOKENS = EVENTS - 4
CONNECTIONS = 32
WARM_UP_S = 0.5
# Between the calls of a latency measure, so that settling the last call doesn't slow the provider down in the next one.
PAUSE_S = 0.005
SYSTEM = (
    "You are a careful assistant. Answer in one short paragraph, name your sources, and say so where you are not sure. "
)
QUESTION = "What does a prepaid gateway do with the rest of a hold when a call used less than was estimated for it?"

# Figures of one round by name, such as {"per_second": 5000.0, "busy": 0.98}.
Figures = dict[str, float]


class BadAnswer(RuntimeError):
    """A target answered something else than a whole 200; the message shows the first of them."""


@dataclass(frozen=True)
class Measure:
    """`targets` take turns, in this order."""

    name: str
    title: str
    stream: bool
    connections: int
    targets: tuple[str, ...]
    pause_s: float = 0.0

    @property
    def accounts(self) -> int:
        """How many accounts take turns: one at one connection, since the first call of a key waits for its grant."""
        return ACCOUNTS if self.connections > 1 else 1


MEASURES = (
    Measure("calls", f"calls/s, {CONNECTIONS} connections", False, CONNECTIONS, ("edge", "passthrough")),
    Measure(
        "streams",
        f"streams/s of {EVENTS} events, {CONNECTIONS} connections",
        True,
        CONNECTIONS,
        ("edge", "passthrough"),
    ),
    Measure("latency", "latency of a call, 1 connection", False, 1, ("edge", "passthrough", "provider"), PAUSE_S),
    Measure(
        "first_byte",
        "time to a stream's first event, 1 connection",
        True,
        1,
        ("edge", "passthrough", "provider"),
        PAUSE_S,
    ),
)


@dataclass
class Series:
    """The figures of a measure: target -> one entry a round."""

    measure: Measure
    rounds: dict[str, list[Figures]] = field(default_factory=dict[str, list[Figures]])

    def of(self, target: str, figure: str) -> list[float]:
        return [figures[figure] for figures in self.rounds[target]]

    def median(self, target: str, figure: str) -> float:
        return statistics.median(self.of(target, figure))

    def ratios(self, figure: str) -> list[float]:
        """The edge's figure as a part of the passthrough's, round by round."""
        return [edge / bare for edge, bare in zip(self.of("edge", figure), self.of("passthrough", figure), strict=True)]


class Bench:
    """Runs measures on a bed and counts every call that the edge answered."""

    def __init__(self, bed: Bed) -> None:
        self._bed = bed
        self.edge_calls = 0

    async def measure(self, measure: Measure, rounds: int, seconds: float) -> Series:
        """Raises BadAnswer."""
        series = Series(measure, {target: [] for target in measure.targets})
        for _ in range(rounds):
            for target in measure.targets:
                series.rounds[target].append(await self._round(measure, target, seconds))
        return series

    async def provider_alone(self, seconds: float) -> float:
        """Calls/s of the load generator against the provider, on one processor together: what a target can at most be seen to do."""
        result = await self._run(_target(self._bed, "provider", MEASURES[0]), "provider", MEASURES[0], seconds)
        return result.per_second

    async def _round(self, measure: Measure, name: str, seconds: float) -> Figures:
        target = _target(self._bed, name, measure)
        await self._run(target, name, measure, WARM_UP_S)
        pid = self._bed.pid(name)
        busy_before, started = busy_s(pid), time.perf_counter()
        result = await self._run(target, name, measure, seconds)
        used, elapsed = busy_s(pid) - busy_before, time.perf_counter() - started
        times = result.first_event_s if measure.stream else result.latency_s
        percentiles = statistics.quantiles(times, n=100)
        if name == "edge":
            await self._bed.quiet()
        return {
            "per_second": result.per_second,
            "per_busy_second": result.completed / used if used else 0.0,
            "busy": used / elapsed,
            "p50_ms": percentiles[49] * 1000,
            "p99_ms": percentiles[98] * 1000,
        }

    async def _run(self, target: load.Target, name: str, measure: Measure, seconds: float) -> load.Result:
        result = await load.run(target, measure.connections, seconds, measure.pause_s)
        if name == "edge":
            self.edge_calls += result.completed
        if result.failed:
            raise BadAnswer(f"{name}: {result.failed} of {result.failed + result.completed}: {result.first_failure}")
        return result


def _target(bed: Bed, name: str, measure: Measure) -> load.Target:
    keys = [account.key for account in bed.accounts[: measure.accounts]]
    requests = list(prepared(keys, stream=measure.stream))
    return load.Target(HOST, bed.ports[name], requests, whole_stream if measure.stream else whole_answer)


def prepared(keys: Iterable[str], *, stream: bool) -> Iterable[bytes]:
    """One request a key, ready to be sent."""
    fields: Mapping[str, object] = {
        "model": MODEL,
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}],
        "max_tokens": 64,
        "temperature": 0.2,
        "sandbox": {"output_tokens": OUTPUT_TOKENS},
    }
    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    body = msgspec.json.encode({**fields, **streamed} if stream else fields)
    for key in keys:
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {key}\r\naccept: */*\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        yield head.encode() + body


def whole_stream(answer: bytes) -> bool:
    return answer.count(b"data: ") == EVENTS and b"data: [DONE]\n\n" in answer


def whole_answer(answer: bytes) -> bool:
    return b'"usage":{' in answer and answer.endswith(b"}")


async def sample_usage(bed: Bed) -> tuple[int, int]:
    """Prompt and output tokens of the one request that all targets get, as the provider itself counts them."""
    answers: list[bytes] = []

    def keep(answer: bytes) -> bool:
        answers.append(answer)
        return whole_answer(answer)

    target = _target(bed, "provider", MEASURES[0])
    await load.run(load.Target(target.host, target.port, target.requests, keep), 1, 0)
    usage = msgspec.json.decode(answers[0].partition(b"\r\n\r\n")[2])["usage"]
    return usage["prompt_tokens"], usage["completion_tokens"]
