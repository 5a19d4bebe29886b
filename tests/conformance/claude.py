"""What the tests through Anthropic's SDK have in common: a question, a tool, a price, and the slow way to a bill."""

from typing import Any, Final

from anthropic import Anthropic

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


def say_whole(client: Anthropic, model: str, /, switches: dict[str, Any] | None = None, **fields: Any) -> Any:
    """A message without a stream; `switches` are the sandbox provider's."""
    return client.messages.create(**_asked(model, switches, fields))


def streamed(client: Anthropic, model: str, /, switches: dict[str, Any] | None = None, **fields: Any) -> Any:
    """The same by a stream, as the SDK puts it together."""
    with client.messages.stream(**_asked(model, switches, fields)) as stream:
        return stream.get_final_message()


def _asked(model: str, switches: dict[str, Any] | None, fields: dict[str, Any]) -> Any:
    body = {"model": model, "max_tokens": 3000, "messages": HELLO, **fields}
    return body if switches is None else {**body, "extra_body": {"sandbox": switches}}
