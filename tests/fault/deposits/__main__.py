"""`python -m tests.fault.deposits`: seeded rounds of deposits under faults, a line each, then a table of what struck.

First every blow alone, then rounds as drawn. A world serves several rounds, so one's leftovers meet the next.
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

from tests.fault.deposits.blows import BLOWS
from tests.fault.deposits.rounds import Outcome, Plan, plan_of, run_round
from tests.fault.deposits.world import DepositWorld

ROUNDS: Final = 100
ROUNDS_A_WORLD: Final = 25
FAILURES_MAX: Final = 5


def main() -> int:
    """Exit status 1 where a round failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fault.deposits", description=__doc__)
    parser.add_argument("--seed", type=int, help="of the first round; the rounds after it have the next numbers")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", nargs="+", default=[], choices=BLOWS, metavar="BLOW", help="instead of drawn ones")
    parser.add_argument("--each", action="store_true", help="before the rounds, one round of every blow alone")
    arguments = parser.parse_args()
    first: int = random.SystemRandom().randrange(1_000_000) if arguments.seed is None else arguments.seed
    plans = [plan_of(first + i, [name]) for i, name in enumerate(BLOWS)] if arguments.each else []
    plans += [plan_of(first + i, arguments.only) for i in range(arguments.rounds)]
    # What ends this command must not leave a stack behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began_s, outcomes = time.monotonic(), list[Outcome]()
    while len(outcomes) < len(plans) and sum(bool(outcome.error) for outcome in outcomes) < FAILURES_MAX:
        outcomes += _in_one_world(plans[len(outcomes) : len(outcomes) + ROUNDS_A_WORLD], len(outcomes))
    _summarize(outcomes, time.monotonic() - began_s, len(plans), first)
    return 1 if any(outcome.error for outcome in outcomes) or len(outcomes) < len(plans) else 0


def _in_one_world(plans: list[Plan], done: int) -> list[Outcome]:
    """Until the plans are through or one fails; then its logs stay."""
    outcomes: list[Outcome] = []
    folder = Path(tempfile.mkdtemp(prefix="tokentally-deposits-"))
    world = DepositWorld(folder)
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
    verdict = "FAILED" if outcome.error else "ok"
    print(
        f"{number:4} seed {outcome.plan.seed:<7} {verdict:6} {outcome.seconds:5.1f} s  {outcome.steps} steps: {outcome.plan}"
    )
    if outcome.error:
        traceback.print_exception(outcome.error, file=sys.stdout)
        print(f"    again: {repeat_command(outcome.plan)}")
    sys.stdout.flush()


def repeat_command(plan: Plan) -> str:
    """The same round in a world of its own."""
    command = f".venv/bin/python -m tests.fault.deposits --rounds 1 --seed {plan.seed}"
    return (
        command
        if plan_of(plan.seed) == plan
        else f"{command} --only {' '.join(blow.name for _, blow, _ in plan.blows)}"
    )


def _summarize(outcomes: list[Outcome], seconds: float, planned: int, seed: int) -> None:
    struck = Counter(blow.name for outcome in outcomes for _, blow, _ in outcome.plan.blows)
    nodes = Counter(fault.kind for outcome in outcomes for fault in outcome.plan.node_faults)
    print(f"\n{'blow':<44}{'rounds':>7}")
    for name, times in (struck + nodes).most_common():
        print(f"{name:<44}{times:>7}")
    bad = [outcome for outcome in outcomes if outcome.error]
    print(f"\n{len(outcomes)} of {planned} rounds in {seconds / 60:.1f} min, seed {seed}, {len(bad)} failed")
    # Counts of a world grow from round to round: its last round has them all.
    last = [
        one
        for one, after in zip(outcomes, [*outcomes[1:], None], strict=True)
        if after is None or after.booked < one.booked
    ]
    print(f"{sum(o.transfers for o in last)} transfers to us, {sum(o.booked for o in last)} entries booked, each once")


if __name__ == "__main__":
    sys.exit(main())
