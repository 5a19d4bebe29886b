"""One stack with four edges for the whole folder; a fresh record and a printed seed for each test.

TT_FAULT_SEED repeats a run, TT_FAULT_ROUNDS (1 by default) repeats each seeded round with the seeds that follow.
"""

import os
import random
import re
from collections.abc import Iterator

import pytest

from tests.fault.driver import Record
from tests.fault.world import World


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        # Test processes that run side by side must come to the same names: they share the run's id.
        run = getattr(metafunc.config, "workerinput", {}).get("testrunuid")
        chance = random.Random(f"{run} {metafunc.definition.nodeid}" if run else None)
        first = int(os.environ.get("TT_FAULT_SEED") or chance.randrange(1_000_000))
        rounds = int(os.environ.get("TT_FAULT_ROUNDS") or 1)
        metafunc.parametrize("seed", [pytest.param(first + i, id=f"seed{first + i}") for i in range(rounds)])


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("fault"))
    try:
        world.start()
        yield world
    finally:
        world.stop()


@pytest.fixture
def record(world: World, request: pytest.FixtureRequest) -> Record:
    return Record.begin(world, re.sub(r"\W+", "-", request.node.name))


@pytest.fixture
def rng(seed: int) -> random.Random:
    """Of the seed that the test's name and, on a failure, its output show."""
    print(f"TT_FAULT_SEED={seed}")  # noqa: T201
    return random.Random(seed)
