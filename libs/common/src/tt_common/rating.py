"""Rating: usage x price -> cost. Pure; the one place where tokens become money.

Token classes are disjoint, reasoning is inside output. A long-context tier applies to the whole request, cached input counted.
The cost is rounded once, half up, to nanoUSD.
"""

from typing import Final

import msgspec

from tt_common.money import TOKENS_PER_PRICE_UNIT, divide_half_up

QUANTITY_MAX: Final = 1_000_000_000
"""A count above this is not usage but nonsense; callers clamp before they multiply."""


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one call used. Counts of at least 0; the classes are disjoint, but `reasoning_tokens` is a part of output."""

    input_tokens: int = 0
    """Fresh prompt tokens: neither cached, nor audio, nor images that the provider counts apart."""
    cache_read_tokens: int = 0
    """Prompt tokens read from a prompt cache."""
    cache_write_5m_tokens: int = 0
    """Prompt tokens written to a cache of five minutes."""
    cache_write_1h_tokens: int = 0
    """Prompt tokens written to a cache of an hour."""
    output_tokens: int = 0
    """Tokens of the answer, reasoning included."""
    reasoning_tokens: int = 0
    """The part of the output that was reasoning."""
    audio_input_tokens: int = 0
    """Audio tokens of the prompt."""
    audio_output_tokens: int = 0
    """Audio tokens of the answer."""
    image_input_tokens: int = 0
    """Image tokens of the prompt, where the provider prices them apart."""
    images: int = 0
    """Images that were returned."""
    server_tool_calls: int = 0
    """Calls of tools that the provider runs itself, such as a web search."""
    seconds: int = 0
    """Seconds of audio, where the provider bills by them."""
    characters: int = 0
    """Characters of text to speak, where the provider bills by them."""

    @property
    def prompt_tokens(self) -> int:
        """Everything that went in: fresh, cached, written to a cache, audio, images."""
        return (
            self.input_tokens
            + self.cache_read_tokens
            + self.cache_write_5m_tokens
            + self.cache_write_1h_tokens
            + self.audio_input_tokens
            + self.image_input_tokens
        )

    @property
    def total_tokens(self) -> int:
        """Prompt and output, audio included: what a tokens-per-minute limit counts."""
        return self.prompt_tokens + self.output_tokens + self.audio_output_tokens


class Rates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Unit prices: integer nanoUSD per million tokens; `image`, `server_tool_call`, `second` and `character` are nanoUSD for one."""

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    audio_input: int = 0
    audio_output: int = 0
    image_input: int = 0
    image: int = 0
    server_tool_call: int = 0
    second: int = 0
    character: int = 0


class ServiceTier(msgspec.Struct, frozen=True, kw_only=True):
    """What a call costs that the provider says it served in the tier `name`, in percent of the usual rates."""

    name: str
    percent: int


class LongContextTier(msgspec.Struct, frozen=True, kw_only=True):
    """Rates for requests whose prompt is longer than `above_tokens`."""

    above_tokens: int
    rates: Rates


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable version of a model's price. `version` is its global name, such as `gpt-4o-mini@3`."""

    version: str
    model: str
    number: int
    rates: Rates
    starts_at_ms: int
    created_at_ms: int
    long_context: tuple[LongContextTier, ...] = ()
    service_tiers: tuple[ServiceTier, ...] = ()


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a receipt: `quantity` at `unit_price_nanousd` per `per` units, before rounding."""

    token_class: str
    quantity: int
    unit_price_nanousd: int
    per: int


def rates_for(price: Price, prompt_tokens: int) -> Rates:
    """The rates in force for a prompt of that length: the highest tier it exceeds, else the base."""
    best: LongContextTier | None = None
    for tier in price.long_context:
        if prompt_tokens > tier.above_tokens and (best is None or tier.above_tokens > best.above_tokens):
            best = tier
    return price.rates if best is None else best.rates


def percent_for(price: Price, service_tier: str) -> int:
    """Percent of the rates that a call of that tier costs: 100 where the price says nothing of it."""
    return next((tier.percent for tier in price.service_tiers if tier.name == service_tier), 100)


def cost_nanousd(usage: Usage, price: Price, service_tier: str = "") -> int:
    """What the usage costs under the price, rounded once, half up. `service_tier` as the provider named it."""
    rates = price.rates if not price.long_context else rates_for(price, usage.prompt_tokens)
    numerator = (
        usage.input_tokens * rates.input
        + usage.output_tokens * rates.output
        + usage.cache_read_tokens * rates.cache_read
        + usage.cache_write_5m_tokens * rates.cache_write_5m
        + usage.cache_write_1h_tokens * rates.cache_write_1h
        + usage.audio_input_tokens * rates.audio_input
        + usage.audio_output_tokens * rates.audio_output
        + usage.image_input_tokens * rates.image_input
    )
    if usage.images or usage.server_tool_calls or usage.seconds or usage.characters:
        numerator += TOKENS_PER_PRICE_UNIT * (
            usage.images * rates.image
            + usage.server_tool_calls * rates.server_tool_call
            + usage.seconds * rates.second
            + usage.characters * rates.character
        )
    if service_tier and price.service_tiers:
        return divide_half_up(numerator * percent_for(price, service_tier), TOKENS_PER_PRICE_UNIT * 100)
    return divide_half_up(numerator, TOKENS_PER_PRICE_UNIT)


def receipt_lines(usage: Usage, price: Price, service_tier: str = "") -> list[Line]:
    """The rows whose sum, rounded once, is `cost_nanousd`; classes that were not used are left out."""
    rates = rates_for(price, usage.prompt_tokens)
    rows = (
        ("input", usage.input_tokens, rates.input, TOKENS_PER_PRICE_UNIT),
        ("cache_read", usage.cache_read_tokens, rates.cache_read, TOKENS_PER_PRICE_UNIT),
        ("cache_write_5m", usage.cache_write_5m_tokens, rates.cache_write_5m, TOKENS_PER_PRICE_UNIT),
        ("cache_write_1h", usage.cache_write_1h_tokens, rates.cache_write_1h, TOKENS_PER_PRICE_UNIT),
        ("output", usage.output_tokens, rates.output, TOKENS_PER_PRICE_UNIT),
        ("audio_input", usage.audio_input_tokens, rates.audio_input, TOKENS_PER_PRICE_UNIT),
        ("audio_output", usage.audio_output_tokens, rates.audio_output, TOKENS_PER_PRICE_UNIT),
        ("image_input", usage.image_input_tokens, rates.image_input, TOKENS_PER_PRICE_UNIT),
        ("image", usage.images, rates.image, 1),
        ("server_tool_call", usage.server_tool_calls, rates.server_tool_call, 1),
        ("second", usage.seconds, rates.second, 1),
        ("character", usage.characters, rates.character, 1),
    )
    percent = percent_for(price, service_tier)
    times, over = (1, 1) if percent == 100 else (percent, 100)
    return [Line(token_class=n, quantity=q, unit_price_nanousd=p * times, per=per * over) for n, q, p, per in rows if q]


def price_in_force(versions: tuple[Price, ...], at_ms: int) -> Price | None:
    """The version that started last at or before `at_ms`; None where none has."""
    started = [price for price in versions if price.starts_at_ms <= at_ms]
    return max(started, key=lambda price: (price.starts_at_ms, price.number)) if started else None
