"""What the tests through Anthropic's SDK have in common: a question, a tool, a price, and the slow way to a bill."""

from typing import Any, Final

from tt_common.money import TOKENS_PER_PRICE_UNIT

HELLO: Final[Any] = [{"role": "user", "content": "Hello there"}]
WEATHER: Final[Any] = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
PRICE: Final = {"input": "3", "cache_read": "1", "cache_write_5m": "4", "cache_write_1h": "6", "output": "15"}
"""USD per million tokens. No class costs what another does."""
NANOUSD_PER_USD: Final = 10**9


def cost_of(usage: dict[str, int]) -> int:
    """NanoUSD for what the provider's record says was used: class by class, exactly."""
    total = sum(usage[name] * int(usd) * NANOUSD_PER_USD for name, usd in PRICE.items())
    assert total % TOKENS_PER_PRICE_UNIT == 0, "the figures of these tests need no rounding"
    return total // TOKENS_PER_PRICE_UNIT
