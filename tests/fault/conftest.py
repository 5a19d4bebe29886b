"""One stack with four edges for the whole folder; a fresh record and a printed seed for each test.

TT_FAULT_SEED repeats a run, TT_FAULT_ROUNDS (1 by default) repeats each seeded round with the seeds that follow.
"""

import os
import random
import re
from collections.abc import Iterator

import pytest

from tests.fault.driver import Record
from tests.fault.world import PASSWORD, World
from tt_sandbox.stack.stack import Stack

# Short, so that tests needn't wait half a minute for what time does; their ratios are the product's.
SOFT_TTL_S = 8
ENV = {
    "billing": {"BILLING_GRANT_SOFT_TTL_S": str(SOFT_TTL_S), "BILLING_GRANT_HARD_TTL_S": str(3 * SOFT_TTL_S)},
    "edge": {"EDGE_IDLE_GRANT_S": "1.5"},
    # Sign-ups are limited by address; each account of the tests comes from another one.
    "console": {"CONSOLE_OPERATOR_PASSWORD": PASSWORD, "CONSOLE_TRUSTED_PROXIES": '["127.0.0.1"]'},
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        first = int(os.environ.get("TT_FAULT_SEED") or random.randrange(1_000_000))
        rounds = int(os.environ.get("TT_FAULT_ROUNDS") or 1)
        metafunc.parametrize("seed", [pytest.param(first + i, id=f"seed{first + i}") for i in range(rounds)])


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with Stack(tmp_path_factory.mktemp("stack"), edges=4, env=ENV) as stack:
        world = World(stack)
        yield world
        world.close()


@pytest.fixture
def record(world: World, request: pytest.FixtureRequest) -> Record:
    return Record.begin(world, re.sub(r"\W+", "-", request.node.name))


@pytest.fixture
def rng(seed: int) -> random.Random:
    print(f"TT_FAULT_SEED={seed}")  # noqa: T201  (pytest shows it with a failure)
    return random.Random(seed)
