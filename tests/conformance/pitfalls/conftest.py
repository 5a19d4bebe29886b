"""A model by dialect, all of one scripted provider."""

import pytest

from tests.conformance.pitfalls.asking import Provider
from tests.support.product import Product
from tests.support.scripted_provider import ScriptedProvider


@pytest.fixture(scope="module")
def provider(product: Product, scripted: ScriptedProvider) -> Provider:
    models: dict[str, str] = {}
    for dialect in ("openai", "anthropic", "gemini"):
        name = f"pitfalls-{dialect}"
        product.operator.put_provider(name, scripted.base_url, key_ref="env:SANDBOX_API_KEY", dialect=dialect)
        upstream = "gemini-2.5-flash" if dialect == "gemini" else "vendor/some-model"
        models[dialect] = product.new_model(routes=[{"provider": name, "upstream_model": upstream}])
    return Provider(scripted, models)
