"""The running product, started once for all tests that share it."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.product import Product

EDGES = 2

# New examples are for people's machines; what CI says of a commit must not depend on chance.
settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Everything for real: PostgreSQL, NATS, the sandbox provider, billing, console and two edges."""
    running = Product(tmp_path_factory.mktemp("product"), edges=EDGES)
    try:
        running.start()
        yield running
    finally:
        running.stop()
