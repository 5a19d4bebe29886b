"""What is measured side by side: ways to load a target, each in rounds that take the targets in turn.

The request is the same for every target but for the key. Taking turns within one run is what makes the ratios hold on a machine
whose speed changes from minute to minute.
"""

import statistics
import time
from dataclasses import dataclass, field

import msgspec

from tests.bench import load
from tests.bench.bed import ACCOUNTS, Bed
from tests.bench.processors import busy_s
from tests.bench.requests import EVENTS, Ask

CONNECTIONS = 32
WARM_UP_S = 0.5
# Between the calls of a latency measure, so that settling the last call doesn't slow the provider down in the next one.
PAUSE_S = 0.005
PACE_MS = 20
PACED_S = 4.0
PACED_WARM_UP_S = 1.2

# Figures of one round by name, such as {"per_second": 5000.0, "busy": 0.98}.
Figures = dict[str, float]


class BadAnswer(RuntimeError):
    """A target answered something else than a whole 200; the message shows the first of them."""


@dataclass(frozen=True)
class Measure:
    """`targets` take turns, in this order. `aims` are what is wanted of the edge: the ratio, or what it adds (p50, p99)."""

    name: str
    title: str
    ask: Ask
    connections: int
    targets: tuple[str, ...]
    aims: tuple[str, ...]
    pause_s: float = 0.0
    seconds_min: float = 0.0
    warm_up_s: float = WARM_UP_S
    """Long enough for a call of every account: grants that were not used for a while have been given back."""

    @property
    def of_latency(self) -> bool:
        """Whether it is about times, not about how many."""
        return len(self.aims) > 1

    @property
    def accounts(self) -> int:
        """How many accounts take turns: one at one connection, since the first call of a key waits for its grant."""
        return ACCOUNTS if self.connections > 1 else 1


BOTH = ("edge", "passthrough")
ALL = (*BOTH, "provider")
MEASURES = (
    Measure("calls", f"calls/s, {CONNECTIONS} connections", Ask(), CONNECTIONS, BOTH, ("75 %",)),
    Measure(
        "streams",
        f"streams/s of {EVENTS} events, {CONNECTIONS} connections",
        Ask(stream=True),
        CONNECTIONS,
        BOTH,
        ("60 %",),
    ),
    Measure("latency", "a call, 1 connection", Ask(), 1, ALL, ("0.5 ms", "3 ms"), PAUSE_S),
    Measure(
        "first_byte", "a stream's first event, 1 connection", Ask(stream=True), 1, ALL, ("0.5 ms", "3 ms"), PAUSE_S
    ),
    Measure(
        "paced",
        f"a stream's first event, {CONNECTIONS} streams with an event each {PACE_MS} ms",
        Ask(stream=True, chunk_delay_ms=PACE_MS),
        CONNECTIONS,
        ALL,
        ("1 ms", "5 ms"),
        seconds_min=PACED_S,
        warm_up_s=PACED_WARM_UP_S,
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

    def added(self, figure: str) -> list[float]:
        """What the edge's figure is above the passthrough's, round by round."""
        return [edge - bare for edge, bare in zip(self.of("edge", figure), self.of("passthrough", figure), strict=True)]


class Bench:
    """Runs measures on a bed and counts every call that the edge answered, and what it must cost."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.edge_calls = 0
        self.expected_nanousd = 0
        self._prompt_tokens = 0
        self._costs: dict[Ask, int] = {}

    async def measure(self, measure: Measure, rounds: int, seconds: float) -> Series:
        """Raises BadAnswer."""
        series = Series(measure, {target: [] for target in measure.targets})
        for _ in range(rounds):
            for target in measure.targets:
                series.rounds[target].append(await self._round(measure, target, max(seconds, measure.seconds_min)))
        return series

    async def provider_alone(self, seconds: float) -> float:
        """Calls/s of the load generator against the provider, on one processor together: what a target can at most be seen to do."""
        ask = MEASURES[0].ask
        return (await self.run("provider", ask, CONNECTIONS, seconds)).per_second

    def target(self, name: str, ask: Ask, accounts: int = ACCOUNTS) -> load.Target:
        return ask.target(self.bed.ports[name], [account.key for account in self.bed.accounts[:accounts]])

    async def run(
        self,
        name: str,
        ask: Ask,
        connections: int,
        seconds: float,
        *,
        pause_s: float = 0.0,
        accounts: int = ACCOUNTS,
    ) -> load.Result:
        """Loads one target; paced streams begin evenly over the time that one takes. Raises BadAnswer."""
        spread_s = ask.chunk_delay_ms * ask.output_tokens / 1000
        result = await load.run(self.target(name, ask, accounts), connections, seconds, pause_s, spread_s)
        await self.count(name, ask, result.completed)
        if result.failed:
            raise BadAnswer(f"{name}: {result.failed} of {result.failed + result.completed}: {result.first_failure}")
        return result

    async def count(self, name: str, ask: Ask, completed: int) -> None:
        """Remembers what calls must have cost, where it was the edge that answered them."""
        if name == "edge":
            self.edge_calls += completed
            self.expected_nanousd += completed * await self._cost(ask)

    async def _cost(self, ask: Ask) -> int:
        if ask not in self._costs:
            prompt = await self._usual_prompt_tokens() if ask.prompt_tokens is None else ask.prompt_tokens
            self._costs[ask] = await self.bed.cost_of(ask.model, prompt, ask.output_tokens)
        return self._costs[ask]

    async def _usual_prompt_tokens(self) -> int:
        """Of the one prompt that most measures send, as the provider itself counts it."""
        if not self._prompt_tokens:
            answers: list[bytes] = []

            def keep(answer: bytes) -> bool:
                answers.append(answer)
                return Ask().is_whole(answer)

            target = self.target("provider", Ask(), 1)
            await load.run(load.Target(target.host, target.port, target.requests, keep), 1, 0)
            usage = msgspec.json.decode(answers[0].partition(b"\r\n\r\n")[2])["usage"]
            self._prompt_tokens = usage["prompt_tokens"]
        return self._prompt_tokens

    async def _round(self, measure: Measure, name: str, seconds: float) -> Figures:
        ask, connections = measure.ask, measure.connections
        await self.run(name, ask, connections, measure.warm_up_s, pause_s=measure.pause_s, accounts=measure.accounts)
        pid = self.bed.pid(name)
        busy_before, started = busy_s(pid), time.perf_counter()
        result = await self.run(name, ask, connections, seconds, pause_s=measure.pause_s, accounts=measure.accounts)
        used, elapsed = busy_s(pid) - busy_before, time.perf_counter() - started
        times = result.first_event_s if ask.stream else result.latency_s
        percentiles = statistics.quantiles(times, n=100)
        if name == "edge":
            await self.bed.quiet()
        return {
            "per_second": result.per_second,
            "per_busy_second": result.completed / used if used else 0.0,
            "busy": used / elapsed,
            "p50_ms": percentiles[49] * 1000,
            "p99_ms": percentiles[98] * 1000,
        }
