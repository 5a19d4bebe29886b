"""One customer with one key and the SDK clients on it, shared by the tests of a module."""

import secrets
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from anthropic import Anthropic
from openai import AsyncOpenAI, OpenAI

from tests.conformance.claude import PRICE
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


@pytest.fixture(scope="session")
def new_claude(product: Product) -> Callable[[], str]:
    """Makes models that the sandbox serves in Anthropic's dialect under their own names, at `PRICE`."""
    product.operator.put_provider(
        "speaks-anthropic", f"{product.stack.sandbox_url}/v1", dialect="anthropic", key_ref="env:SANDBOX_API_KEY"
    )

    def make() -> str:
        model = f"claude-{secrets.token_hex(6)}"
        product.operator.put_model(model, [{"provider": "speaks-anthropic", "upstream_model": model}])
        product.operator.publish_price(model, **PRICE)
        product.until_callable(model)
        return model

    return make


@pytest.fixture(scope="session")
def claude_model(new_claude: Callable[[], str]) -> str:
    return new_claude()


@pytest.fixture(scope="module")
def claude(product: Product, key: ApiKey) -> Iterator[Anthropic]:
    """Anthropic's SDK without retries of its own."""
    with product.anthropic(key) as sdk:
        yield sdk
