"""Deposits under faults: each transfer of the chain is credited exactly once, whoever dies between block and wallet.

A round that passes every named point and one as drawn, of those that `make fault` runs by the hundred.
"""

from collections.abc import Iterator

import pytest

from tests.fault.deposits.blows import BILLING_POINTS, BLOWS, DEPOSITS_POINTS
from tests.fault.deposits.oracle import due_of
from tests.fault.deposits.rounds import Plan, plan_of, run_round
from tests.fault.deposits.world import DepositWorld

POINTS = [
    *(f"deposits_dies_{point}" for point in DEPOSITS_POINTS),
    *(f"billing_dies_{point}" for point in BILLING_POINTS),
]

# Ten starts of a service, one after the other: on a busy machine they take their time.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def deposit_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DepositWorld]:
    world = DepositWorld(tmp_path_factory.mktemp("deposits"))
    try:
        world.start()
        yield world
    finally:
        world.stop()


def test_who_dies_at_a_named_point_neither_loses_nor_repeats_a_deposit(deposit_world: DepositWorld, seed: int) -> None:
    # given deaths at every point, one after the other, of both services at once / when blocks come / then the oracle finds nothing
    outcome = run_round(deposit_world, plan_of(seed, POINTS))

    if outcome.error:
        raise outcome.error
    assert outcome.booked


def test_a_round_of_drawn_faults_neither_loses_nor_repeats_a_deposit(deposit_world: DepositWorld, seed: int) -> None:
    outcome = run_round(deposit_world, plan_of(seed))

    if outcome.error:
        raise outcome.error
    assert outcome.booked


def test_the_same_seed_draws_the_same_plan_and_many_seeds_draw_every_blow() -> None:
    def shown(plan: Plan) -> str:
        return str(plan)

    assert shown(plan_of(7)) == shown(plan_of(7))
    assert {blow.name for seed in range(200) for _, blow, _ in plan_of(seed).blows} == set(BLOWS)


def test_the_oracle_sees_a_transfer_that_was_not_credited(deposit_world: DepositWorld) -> None:
    before = due_of(deposit_world).states.total()
    customer = next(ours.address for ours in deposit_world.ours if ours.account_id)
    deposit_world.chain.send(customer, 5_000_000)

    deposit_world.chain.solidify()

    assert due_of(deposit_world).states.total() == before + 1
