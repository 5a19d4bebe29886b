"""The matrix of the Node SDKs: the same cases as Python's."""

from collections.abc import Iterator
from typing import Final

import pytest

from tests.conformance.matrix.grid import Grid, Place
from tests.conformance.matrix.sdk_node import Driver, NodeSdk
from tests.support.console import ApiKey, ConsoleUser
from tests.support.product import Product

LACKS: Final = {
    "openai chat": frozenset[str](),
    "openai responses": frozenset({"stop sequence"}),
    "anthropic": frozenset[str](),
    "google-genai": frozenset[str](),
}
GRID: Final = Grid(
    title="matrix of Node",
    sdks=tuple(f"{told} (Node)" for told in LACKS),
)

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def sdks(product: Product, key: ApiKey) -> Iterator[dict[str, NodeSdk]]:
    driver = Driver(product.stack.edge_urls[0], key.plaintext)
    try:
        made = [NodeSdk(driver, told, lacks) for told, lacks in LACKS.items()]
        yield {sdk.name: sdk for sdk in made}
    finally:
        driver.close()


@pytest.mark.parametrize(("case", "sdk", "dialect", "stream"), list(GRID.places()))
def test_cell(
    case: str,
    sdk: str,
    dialect: str,
    stream: bool,
    sdks: dict[str, NodeSdk],
    models: dict[str, str],
    product: Product,
    customer: ConsoleUser,
) -> None:
    GRID.run(Place(case, sdk, dialect, stream), sdks[sdk], models, product, customer)


def test_the_table_of_node_in_the_documents_is_what_was_found() -> None:
    GRID.write()
