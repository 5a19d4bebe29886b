"""One customer with one key and the SDK clients on it, shared by the tests of a module."""

from collections.abc import AsyncIterator, Iterator

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.support.console import ApiKey, ConsoleUser
from tests.support.product import Product
from tests.support.scripted_provider import ScriptedProvider


@pytest.fixture(scope="module")
def customer(product: Product) -> ConsoleUser:
    return product.new_customer("20.00")


@pytest.fixture(scope="module")
def key(customer: ConsoleUser) -> ApiKey:
    return customer.create_key()


@pytest.fixture(scope="module")
def client(product: Product, key: ApiKey) -> Iterator[OpenAI]:
    """The SDK without retries of its own."""
    with product.openai(key) as sdk:
        yield sdk


@pytest.fixture
async def async_client(product: Product, key: ApiKey) -> AsyncIterator[AsyncOpenAI]:
    async with product.async_openai(key, edge=1) as sdk:
        yield sdk


@pytest.fixture(scope="session")
def scripted() -> Iterator[ScriptedProvider]:
    provider = ScriptedProvider()
    yield provider
    provider.stop()


@pytest.fixture(scope="session")
def scripted_model(product: Product, scripted: ScriptedProvider) -> str:
    """A model served by the scripted provider under the name `vendor/some-model`."""
    product.operator.put_provider("scripted", scripted.base_url, key_ref="env:SANDBOX_API_KEY")
    return product.new_model(routes=[{"provider": "scripted", "upstream_model": "vendor/some-model"}])
