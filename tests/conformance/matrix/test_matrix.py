"""The matrix of the Python SDKs: SDK x dialect x case x (whole, streamed). Each cell passes or is a documented 400."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
from google import genai

from tests.conformance.matrix.grid import Grid, Place
from tests.conformance.matrix.sdk_anthropic import AnthropicMessages
from tests.conformance.matrix.sdk_gemini import GeminiContents
from tests.conformance.matrix.sdk_openai import OpenAIChat, OpenAIResponses
from tests.conformance.matrix.talk import Sdk
from tests.support.console import ApiKey, ConsoleUser
from tests.support.product import Product

GRID: Final = Grid(title="matrix", sdks=("openai chat", "openai responses", "anthropic", "google-genai"))


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
