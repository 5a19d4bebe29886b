"""One seeded round: a plan drawn from the seed (what is sent, what breaks and when), carried out, held against the oracle.

The same seed gives the same plan; the machine decides how things interleave. Never judges by itself: `oracle` does.
"""

import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from tests.fault.deposits.blows import BLOWS, NODE_FAULTS, NODES, Blow, NodeFault, Part
from tests.fault.deposits.load import Load
from tests.fault.deposits.oracle import assert_all_credited_once
from tests.fault.deposits.world import SERVICES, DepositWorld
from tests.fault.faults.fault import bring_up

BLOWS_A_ROUND: Final = (1, 1, 1, 2, 2, 3)
LATEST_S: Final = 1.0
STEP_PAUSE_S: Final = 0.1
STEPS_MIN: Final = 20


@dataclass(frozen=True)
class Plan:
    """What a round does; each blow with its moment and the seed of what it draws itself."""

    seed: int
    blows: tuple[tuple[float, Blow, int], ...]
    node_faults: tuple[NodeFault, ...]

    def __str__(self) -> str:
        nodes = [f"{fault.kind}({fault.node})" for fault in self.node_faults]
        return ", ".join([*(f"{blow.name}@{at_s:.1f}" for at_s, blow, _ in self.blows), *nodes])


@dataclass(frozen=True)
class Outcome:
    """What came of a round; `error` is None where the oracle found nothing."""

    plan: Plan
    seconds: float
    steps: int = 0
    transfers: int = 0
    booked: int = 0
    error: BaseException | None = None


def plan_of(seed: int, only: Sequence[str] = ()) -> Plan:
    """The plan of a seed; `only` names the blows instead of drawing them."""
    rng = random.Random(seed)
    drawn = rng.sample(list(BLOWS.values()), rng.choice(BLOWS_A_ROUND))
    blows = [BLOWS[name] for name in only] if only else drawn
    faults = [
        NodeFault(rng.uniform(0, 2.0), rng.choice(NODES), rng.choice(NODE_FAULTS), rng.uniform(0.3, 2.0))
        for _ in range(rng.choice((0, 1, 1, 2)))
    ]
    return Plan(
        seed,
        tuple((rng.uniform(0, LATEST_S), blow, rng.getrandbits(32)) for blow in blows),
        tuple(sorted(faults, key=lambda fault: fault.at_s)),
    )


def run_round(world: DepositWorld, plan: Plan) -> Outcome:
    """Carry the plan out and judge. Never raises but for the keyboard; after an error the world is not to be used again."""
    began_s = time.monotonic()
    load = Load(world, random.Random(plan.seed))
    try:
        _strike_under_load(world, plan, load)
        world.heal()
        world.chain.solidify()
        due = assert_all_credited_once(world)
    except Exception as error:
        return Outcome(plan, time.monotonic() - began_s, load.steps, error=error)
    seconds = time.monotonic() - began_s
    return Outcome(plan, seconds, load.steps, due.states.total(), due.booked.total())


def _strike_under_load(world: DepositWorld, plan: Plan, load: Load) -> None:
    """The chain goes on until all that was broken is mended: a service that is to die at a point has to come by it."""
    began_s = time.monotonic()
    faults = list(plan.node_faults)
    parts: set[Part] = {blow.part for _, blow, _ in plan.blows}
    with ThreadPoolExecutor(max_workers=len(parts)) as strikers:
        struck = [strikers.submit(_strike_part, world, plan, part) for part in parts]
        while load.steps < STEPS_MIN or not all(one.done() for one in struck):
            while faults and faults[0].at_s < time.monotonic() - began_s:
                faults.pop(0).set(world)
            load.step()
            time.sleep(STEP_PAUSE_S)
    # What went wrong in a strike is this round's error.
    for one in struck:
        one.result()


def _strike_part(world: DepositWorld, plan: Plan, part: Part) -> None:
    """The blows of one part, one after the other; those of other parts strike meanwhile."""
    for at_s, blow, seed in plan.blows:
        if blow.part == part:
            time.sleep(at_s)
            blow.strike(world, random.Random(seed))
    if part in SERVICES:
        bring_up(world.service(part))
