"""The matrix of the Python SDKs: SDK x dialect x case x (whole, streamed). Each cell passes or is a documented 400."""

from typing import Final

import pytest

from tests.conformance.matrix.grid import Grid, Place
from tests.conformance.matrix.talk import Sdk
from tests.support.console import ConsoleUser
from tests.support.product import Product

GRID: Final = Grid(title="matrix", sdks=("openai chat", "openai responses", "anthropic", "google-genai"))


@pytest.mark.parametrize(("case", "sdk", "dialect", "stream"), list(GRID.places()))
def test_cell(
    case: str,
    sdk: str,
    dialect: str,
    stream: bool,
    sdks: dict[str, Sdk],
    models: dict[str, str],
    product: Product,
    customer: ConsoleUser,
) -> None:
    GRID.run(Place(case, sdk, dialect, stream), sdks[sdk], models, product, customer)


def test_the_table_in_the_documents_is_what_was_found() -> None:
    GRID.write()
