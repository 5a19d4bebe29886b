"""The running product, started once for all tests that share it; and how several test processes share the tests."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from xdist.remote import Producer

from tests.support.product import Product
from tests.support.side_by_side import ByServers, longest_first

EDGES = 2

# New examples are for people's machines; what CI says of a commit must not depend on chance.
settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByServers:
    return ByServers(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        longest_first(items)


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Everything for real: PostgreSQL, NATS, the sandbox provider, billing, console and two edges."""
    running = Product(tmp_path_factory.mktemp("product"), edges=EDGES)
    try:
        running.start()
        yield running
    finally:
        running.stop()
