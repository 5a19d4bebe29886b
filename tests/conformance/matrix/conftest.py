"""Models of the matrix: one for each dialect, of a provider that speaks it and nothing else."""

import pytest

from tests.conformance.matrix.cases import PRICE
from tests.conformance.matrix.grid import DIALECTS
from tests.support.product import Product


@pytest.fixture(scope="session")
def models(product: Product) -> dict[str, str]:
    """By dialect."""
    made: dict[str, str] = {}
    for dialect, upstream in DIALECTS.items():
        base = f"{product.stack.sandbox_url}/{'v1beta' if dialect == 'gemini' else 'v1'}"
        product.operator.put_provider(f"matrix-{dialect}", base, dialect=dialect, key_ref="env:SANDBOX_API_KEY")
        model = made[dialect] = f"matrix-{dialect}"
        route = {"provider": f"matrix-{dialect}", "upstream_model": upstream}
        product.operator.put_model(model, [route])
        product.operator.publish_price(model, **PRICE)
        product.until_callable(model)
    return made
