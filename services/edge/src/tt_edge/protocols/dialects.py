"""The dialects that providers speak, as translations need them."""

from typing import Final

from tt_common.contracts.records import Dialect
from tt_edge.protocols.anthropic.provider import AnthropicProvider
from tt_edge.protocols.gemini.provider import GeminiProvider
from tt_edge.protocols.openai.provider import OpenAIProvider
from tt_edge.protocols.translate import ProviderSide

PROVIDERS: Final[dict[Dialect, ProviderSide]] = {
    "openai": OpenAIProvider(),
    "anthropic": AnthropicProvider(),
    "gemini": GeminiProvider(),
}
