"""The running product, started once for all tests that share it; and how several test processes share the tests."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer

from tests.support.product import Product
from tests.support.side_by_side import ByServers, longest_first

EDGES = 2
# Blocks come when a test makes them: a chain that grows by itself would be read all the while.
BY_COMMAND = {"CHAIN_BLOCK_S": "0"}

# What a test says must not depend on how busy the machine is; and of a commit, not on chance: new examples are for people's machines.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("here"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByServers:
    return ByServers(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        longest_first(items)


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Everything for real: PostgreSQL, NATS, the sandbox provider and chain, billing, deposits, console and two edges."""
    running = Product(tmp_path_factory.mktemp("product"), edges=EDGES, deposits=True, env={"chain": BY_COMMAND})
    try:
        running.start()
        yield running
    finally:
        running.stop()
