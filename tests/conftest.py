"""The running product, started once for all tests that share it."""

from collections.abc import Iterator

import pytest

from tests.support.product import Product

EDGES = 2


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Everything for real: PostgreSQL, NATS, the sandbox provider, billing, console and two edges."""
    running = Product(tmp_path_factory.mktemp("product"), edges=EDGES)
    try:
        running.start()
        yield running
    finally:
        running.stop()
