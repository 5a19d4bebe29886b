"""Models of the matrix, one for each dialect, of a provider that speaks it and nothing else; and Python's SDKs."""

from collections.abc import Iterator
from typing import Any

import pytest
from google import genai

from tests.conformance.matrix.cases import PRICE
from tests.conformance.matrix.grid import DIALECTS
from tests.conformance.matrix.sdk_anthropic import AnthropicMessages
from tests.conformance.matrix.sdk_gemini import GeminiContents
from tests.conformance.matrix.sdk_openai import OpenAIChat, OpenAIResponses
from tests.conformance.matrix.talk import Sdk
from tests.support.console import ApiKey
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


@pytest.fixture(scope="module")
def sdks(product: Product, key: ApiKey) -> Iterator[dict[str, Sdk]]:
    url = product.stack.edge_urls[0]
    options: Any = {"base_url": url, "retry_options": {"attempts": 1}}
    openai, anthropic = product.openai(key), product.anthropic(key)
    made: list[Sdk] = [
        OpenAIChat(openai),
        OpenAIResponses(openai),
        AnthropicMessages(anthropic),
        GeminiContents(genai.Client(api_key=key.plaintext, http_options=options)),
    ]
    yield {sdk.name: sdk for sdk in made}
    for sdk in made:
        sdk.close()
