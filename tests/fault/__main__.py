"""`python -m tests.fault`: seeded rounds one after another, a line each, then a table of what struck and what came of it.

First every named fault alone, then rounds as drawn. The world serves several rounds and is made anew now and then, and after a
round that failed.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Final

from tests.fault.rounds import FAULTS, Outcome, Plan, plan_of, run_round
from tests.fault.world import World

ROUNDS: Final = 200
ROUNDS_A_WORLD: Final = 50
FAILURES_MAX: Final = 10


def main() -> int:
    arguments = _arguments()
    first: int = random.SystemRandom().randrange(1_000_000) if arguments.seed is None else arguments.seed
    print(f"seeds {first} to {first + arguments.rounds - 1}", flush=True)
    plans = [plan_of(first + i, [name]) for i, name in enumerate(FAULTS)] if arguments.each else []
    plans += [plan_of(first + i, arguments.only) for i in range(arguments.rounds)]
    # What ends this command must not leave a stack behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began_s = time.monotonic()
    outcomes = _run(plans)
    _summarize(outcomes, time.monotonic() - began_s, len(plans), first)
    return 1 if any(outcome.error for outcome in outcomes) or len(outcomes) < len(plans) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fault", description=__doc__)
    parser.add_argument("--seed", type=int, help="of the first round; the rounds after it have the next numbers")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--only", nargs="+", default=[], choices=FAULTS, metavar="FAULT", help="instead of drawn faults"
    )
    parser.add_argument("--each", action="store_true", help="before the rounds, one round of every fault alone")
    return parser.parse_args()


def _run(plans: list[Plan]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    while len(outcomes) < len(plans) and sum(bool(outcome.error) for outcome in outcomes) < FAILURES_MAX:
        outcomes += _in_one_world(plans[len(outcomes) : len(outcomes) + ROUNDS_A_WORLD], len(outcomes))
    return outcomes


def _in_one_world(plans: list[Plan], done: int) -> list[Outcome]:
    """Until the plans are through or one fails; then its logs stay."""
    outcomes: list[Outcome] = []
    folder = Path(tempfile.mkdtemp(prefix="tokentally-fault-"))
    world = World(folder)
    try:
        world.start()
        for number, plan in enumerate(plans, done + 1):
            outcomes.append(run_round(world, plan))
            _tell(number, outcomes[-1])
            if outcomes[-1].error:
                print(f"    logs: {folder}", flush=True)
                return outcomes
    finally:
        world.stop()
    shutil.rmtree(folder)
    return outcomes


def _tell(number: int, outcome: Outcome) -> None:
    plan = outcome.plan
    verdict = "FAILED" if outcome.error else "ok"
    counts = f"{outcome.calls} calls, {outcome.refused} refused, {outcome.broken} broken"
    unresolved = outcome.events["unresolved"]
    blows = ", ".join(map(str, plan.blows))
    print(
        f"{number:4} seed {plan.seed:<7} {verdict:6} {outcome.seconds:5.1f} s  {counts}, {unresolved} unresolved: {blows}"
    )
    if outcome.error:
        traceback.print_exception(outcome.error, file=sys.stdout)
        print(f"    again: {repeat_command(plan)}")
    sys.stdout.flush()


def repeat_command(plan: Plan) -> str:
    """The same round in a world of its own."""
    command = f".venv/bin/python -m tests.fault --rounds 1 --seed {plan.seed}"
    drawn = plan_of(plan.seed) == plan
    return command if drawn else f"{command} --only {' '.join(blow.fault.name for blow in plan.blows)}"


def _summarize(outcomes: list[Outcome], seconds: float, planned: int, seed: int) -> None:
    struck = Counter(blow.fault.name for outcome in outcomes for blow in outcome.plan.blows)
    failed = Counter(blow.fault.name for outcome in outcomes if outcome.error for blow in outcome.plan.blows)
    print(f"\n{'fault':<44}{'rounds':>7}{'failed':>7}")
    for name in filter(struck.__getitem__, FAULTS):
        print(f"{name:<44}{struck[name]:>7}{failed[name] or '':>7}")
    events = sum((outcome.events for outcome in outcomes), Counter[str]())
    several = sum(len(outcome.plan.blows) > 1 for outcome in outcomes)
    bad = [outcome for outcome in outcomes if outcome.error]
    print(
        f"\n{len(outcomes)} of {planned} rounds in {seconds / 60:.1f} min, {several} with several faults, seed {seed}"
    )
    print(f"{sum(o.calls for o in outcomes)} calls, {events.total()} events: {dict(events.most_common())}")
    print(f"{len(bad)} rounds failed")
    for outcome in bad:
        print(f"    {repeat_command(outcome.plan)}")


if __name__ == "__main__":
    sys.exit(main())
