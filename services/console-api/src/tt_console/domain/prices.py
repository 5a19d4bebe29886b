"""Prices and amounts as people write them: decimal strings in USD or the deployment's credit. No floats.

Inside, money is integer nanoUSD and a price integer nanoUSD per million tokens
(for one of `image`, `server_tool_call`, `second`, `character`).
"""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Final

import msgspec

from tt_common.errors import DomainError
from tt_common.money import NANOUSD_PER_USD, format_usd, parse_usd
from tt_common.rating import LongContextTier, Rates, ServiceTier

RATE_FIELDS: Final = Rates.__struct_fields__
PROMPT_CLASSES: Final = ("cache_read", "cache_write_5m", "cache_write_1h", "audio_input", "image_input")
RATE_USD_MAX: Final = 1_000_000
_CREDIT_STEP: Final = Decimal("0.000000001")


class Credit(msgspec.Struct, frozen=True):
    """The deployment's own unit of account, such as TMT, at a fixed rate."""

    name: str
    per_usd: Decimal


def make_credit(name: str | None, per_usd: str) -> Credit | None:
    """None where no credit is set. Raises ValueError for a rate that isn't a decimal above 0."""
    if not name:
        return None
    try:
        rate = Decimal(per_usd)
    except InvalidOperation:
        raise ValueError("credits per USD is not a decimal number") from None
    if not rate.is_finite() or rate <= 0:
        raise ValueError("credits per USD must be above 0")
    return Credit(name, rate)


def in_credit(nanousd: int, credit: Credit) -> str:
    """An amount in the credit, at most nine decimals, half up."""
    amount = (Decimal(nanousd) * credit.per_usd / NANOUSD_PER_USD).quantize(_CREDIT_STEP, rounding=ROUND_HALF_UP)
    text = f"{amount:f}"
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


def parse_amount(text: str, param: str) -> int:
    """Decimal USD as nanoUSD. Raises DomainError invalid_amount that names `param`."""
    try:
        return parse_usd(text)
    except ValueError as error:
        raise DomainError("invalid_amount", f"{param}: {error}", param=param) from None


def parse_rates(usd: dict[str, str], param: str) -> Rates:
    """USD per million tokens by token class as Rates. Raises DomainError.

    `image`, `server_tool_call`, `second` and `character` are USD for one.
    What is left out is not free: cached, cache-written, audio and image input cost what input costs, audio output what output costs.
    """
    unknown = set(usd) - set(RATE_FIELDS)
    if unknown:
        raise DomainError(
            "invalid_price",
            f"{param}: unknown token class {sorted(unknown)[0]!r}; known: {', '.join(RATE_FIELDS)}",
            param=param,
        )
    rates = {name: parse_amount(text, f"{param}.{name}") for name, text in usd.items()}
    for name, nanousd in rates.items():
        if not 0 <= nanousd <= RATE_USD_MAX * NANOUSD_PER_USD:
            raise DomainError("invalid_price", f"{param}.{name}: between 0 and {RATE_USD_MAX}", param=f"{param}.{name}")
    prompt, output = rates.get("input", 0), rates.get("output", 0)
    return Rates(**(dict.fromkeys(PROMPT_CLASSES, prompt) | {"audio_output": output} | rates))


def rates_in_usd(rates: Rates) -> dict[str, str]:
    """The token classes that cost something, in USD per million tokens (image, server tool call, second, character: for one)."""
    return {name: format_usd(value) for name in RATE_FIELDS if (value := getattr(rates, name))}


def rates_in_credit(rates: Rates, credit: Credit) -> dict[str, str]:
    """The same in the deployment's credit."""
    return {name: in_credit(value, credit) for name in RATE_FIELDS if (value := getattr(rates, name))}


def parse_tiers(tiers: list[tuple[int, dict[str, str]]], param: str) -> tuple[LongContextTier, ...]:
    """Long-context tiers from (above_tokens, USD rates) pairs."""
    return tuple(LongContextTier(above_tokens=above, rates=parse_rates(usd, param)) for above, usd in tiers)


def service_tiers(percents: dict[str, int]) -> tuple[ServiceTier, ...]:
    """Service tiers from percents of the rates by the provider's name of the tier."""
    return tuple(ServiceTier(name=name, percent=percent) for name, percent in sorted(percents.items()))
