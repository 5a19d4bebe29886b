"""A few of the seeded rounds that `make fault` runs by the hundred."""

import pytest

from tests.fault.rounds import FAULTS, plan_of, run_round
from tests.fault.world import World

SEEDS = (11, 23)


@pytest.mark.parametrize("number", SEEDS)
def test_a_round_of_drawn_faults_leaves_everything_accounted_for(world: World, number: int) -> None:
    # given a plan / when its faults strike under load / then the oracle finds nothing
    outcome = run_round(world, plan_of(number))
    if outcome.error:
        raise outcome.error
    assert outcome.calls


def test_the_same_seed_draws_the_same_plan_and_many_seeds_draw_every_fault() -> None:
    assert plan_of(7) == plan_of(7)
    drawn = {blow.fault.name for seed in range(200) for blow in plan_of(seed).blows}
    assert drawn == set(FAULTS)
