"""One seeded round: a plan drawn from the seed (load, faults, moments), carried out on a running world, held against the oracle.

The same seed gives the same plan; the machine decides how calls and faults interleave. Never judges by itself: `oracle` does.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.fault.driver import Record, load
from tests.fault.faults import clocks, disk, engines, processes, stream
from tests.fault.faults.fault import Fault
from tests.fault.oracle import assert_consistent, assert_reconciled
from tests.fault.world import EDGES, World

FAULTS: Final = {fault.name: fault for module in (processes, engines, stream, clocks, disk) for fault in module.FAULTS}
FAULTS_A_ROUND: Final = (1, 1, 1, 2, 2, 2, 2, 3, 3)
LATEST_S: Final = 2.0
"""A fault strikes within this time of the load's beginning."""
AFTER_S: Final = 0.5
"""How long the load goes on when all is mended."""
AMPLE_USD: Final = "20"
TIGHT_USD: Final = "0.003"
"""About a hundred calls: the wallet runs dry, and holds meet each other before that."""


@dataclass(frozen=True)
class Blow:
    """A fault, when and where it strikes, and the seed of what it draws itself."""

    fault: Fault
    edge: int
    at_s: float
    seed: int

    def __str__(self) -> str:
        where = f"({self.edge})" if self.fault.part in ("edge", "all") else ""
        return f"{self.fault.name}{where}@{self.at_s:.1f}"


@dataclass(frozen=True)
class Plan:
    """What a round does. `credits_usd` has one wallet for each key."""

    seed: int
    blows: tuple[Blow, ...]
    credits_usd: tuple[str, ...]
    workers: int
    pause_s: float
    failover: bool
    restless: bool


@dataclass(frozen=True)
class Outcome:
    """What came of a round; `error` is None where the oracle found nothing."""

    plan: Plan
    seconds: float
    calls: int = 0
    refused: int = 0
    broken: int = 0
    events: Counter[str] = field(default_factory=Counter)
    error: BaseException | None = None


def plan_of(seed: int, only: Sequence[str] = ()) -> Plan:
    """The plan of a seed; `only` names the faults instead of drawing them."""
    rng = random.Random(seed)
    drawn = rng.sample(list(FAULTS.values()), rng.choice(FAULTS_A_ROUND))
    faults = [FAULTS[name] for name in only] if only else drawn
    # Each its own edge: what a full disk left in memory alone is not to be killed by another fault.
    edges = rng.sample(range(EDGES), EDGES)
    blows = tuple(
        Blow(fault, edges[number % EDGES], rng.uniform(0.2, LATEST_S), rng.getrandbits(32))
        for number, fault in enumerate(faults)
    )
    tight = rng.random() < 0.2 and not any(fault.overdraws for fault in faults)
    keys = rng.randint(1, 3)
    return Plan(
        seed=seed,
        blows=tuple(sorted(blows, key=lambda blow: blow.at_s)),
        credits_usd=tuple(TIGHT_USD if tight and number == 0 else AMPLE_USD for number in range(keys)),
        workers=rng.randint(2, 6),
        pause_s=rng.choice((0.02, 0.05, 0.1, 0.2)),
        failover=rng.random() < 0.7,
        restless=rng.random() < 0.7,
    )


def run_round(world: World, plan: Plan) -> Outcome:
    """Carry the plan out and judge. Never raises but for the keyboard; after an error the world is not to be used again."""
    began_s = time.monotonic()
    record = Record.begin(world, f"round-{plan.seed}")
    try:
        asyncio.run(_strike_under_load(world, plan, record))
        world.heal()
        events = assert_consistent(record, overdraws=any(blow.fault.overdraws for blow in plan.blows))
        assert_reconciled(world.stack)
    except Exception as error:
        return Outcome(plan, time.monotonic() - began_s, len(record.sent), error=error)
    return Outcome(
        plan,
        time.monotonic() - began_s,
        calls=len(record.sent),
        refused=sum(bool(sent.status) and sent.status != 200 for sent in record.sent),
        broken=sum(sent.outcome == "partial" or not sent.status for sent in record.sent),
        events=Counter(event.outcome for event in events.values()),
    )


async def _strike_under_load(world: World, plan: Plan, record: Record) -> None:
    keys = [world.key(credit) for credit in plan.credits_usd]
    locks = {part: asyncio.Lock() for part in ("billing", "console", "nats", "postgres", "usage")}
    locks |= {edge.name: asyncio.Lock() for edge in world.edges}
    rng = random.Random(plan.seed)
    async with load(
        record, keys, rng, workers=plan.workers, failover=plan.failover, restless=plan.restless, pause_s=plan.pause_s
    ):
        await asyncio.gather(*(_strike(world, blow, locks) for blow in plan.blows))
        await asyncio.sleep(AFTER_S)


async def _strike(world: World, blow: Blow, locks: dict[str, asyncio.Lock]) -> None:
    await asyncio.sleep(blow.at_s)
    edge = world.edges[blow.edge]
    broken = {"edge": [edge.name], "all": ["billing", edge.name]}.get(blow.fault.part, [blow.fault.part])
    async with contextlib.AsyncExitStack() as parts:
        for name in broken:
            await parts.enter_async_context(locks[name])
        await blow.fault.strike(world, edge, random.Random(blow.seed))
