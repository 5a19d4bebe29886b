"""Immutable price versions: what may be published, and what edges get to know."""

import msgspec

from tt_common.contracts.records import PriceRecord
from tt_common.contracts.wallets import PublishPrice
from tt_common.errors import DomainError
from tt_common.rating import Price, price_in_force

RATE_NANOUSD_MAX = 10**15
TIERS_MAX = 16
TIER_CHARACTERS_MAX = 64
PERCENT_MAX = 10_000
MODEL_CHARACTERS_MAX = 200


def check_rates(request: PublishPrice) -> None:
    """Raises invalid_price for negative or absurd rates, and for tiers that make no sense."""
    all_rates = [request.rates, *(tier.rates for tier in request.long_context)]
    if any(not 0 <= rate <= RATE_NANOUSD_MAX for rates in all_rates for rate in msgspec.structs.astuple(rates)):
        raise DomainError("invalid_price", "rates are integers of at least 0 nanoUSD")
    bounds = [tier.above_tokens for tier in request.long_context]
    if len(bounds) > TIERS_MAX or len(set(bounds)) != len(bounds) or any(bound < 1 for bound in bounds):
        raise DomainError("invalid_price", "tiers begin above different numbers of tokens, at least 1")
    names = [tier.name for tier in request.service_tiers]
    percents = [tier.percent for tier in request.service_tiers]
    if (
        len(names) > TIERS_MAX
        or len(set(names)) != len(names)
        or any(not 0 < len(name) <= TIER_CHARACTERS_MAX for name in names)
    ):
        raise DomainError("invalid_price", "service tiers have different names")
    if any(not 0 <= percent <= PERCENT_MAX for percent in percents):
        raise DomainError("invalid_price", f"a service tier costs 0 to {PERCENT_MAX} percent of the rates")
    if not 0 < len(request.model) <= MODEL_CHARACTERS_MAX or "\x00" in request.model:
        raise DomainError("invalid_price", "a price belongs to a model")


def next_version(versions: tuple[Price, ...], request: PublishPrice, now_ms: int) -> Price | None:
    """The new version, or None where the newest has the same rates. A start in the past is now: the past stays as it was rated.

    `now` is never before the newest was made: else, after the clock was put back, the new one would not come into force.
    """
    newest = versions[-1] if versions else None
    if newest is not None and _terms(newest) == _terms(request):
        return None
    number = 1 if newest is None else newest.number + 1
    now_ms = now_ms if newest is None else max(now_ms, newest.created_at_ms)
    return Price(
        version=f"{request.model}@{number}",
        model=request.model,
        number=number,
        rates=request.rates,
        long_context=request.long_context,
        service_tiers=request.service_tiers,
        starts_at_ms=max(now_ms, request.starts_at_ms or 0),
        created_at_ms=now_ms,
    )


def _terms(price: Price | PublishPrice) -> tuple[object, ...]:
    return price.rates, price.long_context, price.service_tiers


def forgotten_versions(known: tuple[Price, ...], seen: list[Price]) -> list[Price]:
    """Versions that were seen and are not known, each once, oldest first. A number that is taken stays as it is known."""
    numbers = {price.number for price in known}
    return sorted(
        {price.number: price for price in seen if price.number not in numbers}.values(), key=lambda p: p.number
    )


def price_record(model: str, revision: int, versions: tuple[Price, ...], now_ms: int) -> PriceRecord:
    """What the edges need: the version in force and those that start later."""
    present = price_in_force(versions, now_ms)
    kept = tuple(price for price in versions if price is present or price.starts_at_ms > now_ms)
    return PriceRecord(model=model, revision=revision, versions=kept, made_at_ms=now_ms)
