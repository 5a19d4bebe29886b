"""The catalog file that `seed` reads: providers, models with routes, and list prices in USD per million tokens.

A provider with `when_env` is used only where that variable is set; a model takes the first of its routes whose provider is used.
Environment variables are handed in; nothing is read here.
"""

from collections.abc import Mapping

import msgspec

from tt_common.contracts.records import Dialect, ModelKind, Route
from tt_common.errors import DomainError
from tt_common.rating import LongContextTier, Rates, ServiceTier
from tt_console.domain.catalog import ModelTerms, ProviderTerms, check_id, check_model_terms, check_provider_terms
from tt_console.domain.prices import parse_rates, parse_tiers, service_tiers


class FileProvider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider of the file; `base_url_env` names a variable that overrides `base_url`."""

    id: str
    base_url: str
    dialect: Dialect = "openai"
    key_ref: str | None = None
    base_url_env: str | None = None
    when_env: str | None = None
    responses: bool = False


class FileRoute(msgspec.Struct, frozen=True, kw_only=True):
    provider: str
    upstream_model: str


class FileTier(msgspec.Struct, frozen=True, kw_only=True):
    above_tokens: int
    usd_per_million_tokens: dict[str, str]


class FileModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the file; `hold_output_tokens` defaults to a quarter of `max_output_tokens`."""

    id: str
    kind: ModelKind
    owned_by: str
    context_window: int
    max_output_tokens: int
    routes: tuple[FileRoute, ...]
    usd_per_million_tokens: dict[str, str]
    hold_output_tokens: int | None = None
    long_context: tuple[FileTier, ...] = ()
    service_tiers: dict[str, int] = {}
    """By the name that the provider answers with: percent of the rates."""


class CatalogFile(msgspec.Struct, frozen=True, kw_only=True):
    providers: tuple[FileProvider, ...]
    models: tuple[FileModel, ...]


class SeedProvider(msgspec.Struct, frozen=True):
    id: str
    terms: ProviderTerms


class SeedModel(msgspec.Struct, frozen=True):
    id: str
    terms: ModelTerms
    rates: Rates
    long_context: tuple[LongContextTier, ...]
    service_tiers: tuple[ServiceTier, ...]


class Seed(msgspec.Struct, frozen=True):
    """What the catalog should hold on this deployment."""

    providers: tuple[SeedProvider, ...]
    models: tuple[SeedModel, ...]


def parse_catalog(text: bytes, environment: Mapping[str, str]) -> Seed:
    """Raises DomainError invalid_catalog (or that of a rule) where the file is wrong."""
    try:
        file = msgspec.json.decode(text, type=CatalogFile)
    except msgspec.DecodeError as error:
        raise DomainError("invalid_catalog", f"the catalog file: {error}") from None
    used = [p for p in file.providers if p.when_env is None or environment.get(p.when_env)]
    providers = tuple(_provider(provider, environment) for provider in used)
    known = {provider.id for provider in file.providers}
    available = {provider.id for provider in used}
    return Seed(providers, tuple(_model(model, known, available) for model in file.models))


def _provider(provider: FileProvider, environment: Mapping[str, str]) -> SeedProvider:
    base_url = (environment.get(provider.base_url_env) if provider.base_url_env else None) or provider.base_url
    terms = ProviderTerms(
        dialect=provider.dialect,
        base_url=base_url.rstrip("/"),
        key_ref=provider.key_ref,
        responses=provider.responses,
    )
    check_provider_terms(terms)
    return SeedProvider(check_id(provider.id, "providers.id"), terms)


def _model(model: FileModel, known: set[str], available: set[str]) -> SeedModel:
    for route in model.routes:
        if route.provider not in known:
            raise DomainError("invalid_catalog", f"{model.id}: there is no provider {route.provider!r}")
    chosen = next((route for route in model.routes if route.provider in available), None)
    if chosen is None:
        raise DomainError("invalid_catalog", f"{model.id}: none of its providers is switched on")
    hold = model.hold_output_tokens if model.hold_output_tokens is not None else model.max_output_tokens // 4
    terms = ModelTerms(
        kind=model.kind,
        owned_by=model.owned_by,
        context_window=model.context_window,
        max_output_tokens=model.max_output_tokens,
        hold_output_tokens=hold,
        routes=(Route(provider=chosen.provider, upstream_model=chosen.upstream_model),),
    )
    check_model_terms(terms)
    tiers = [(tier.above_tokens, tier.usd_per_million_tokens) for tier in model.long_context]
    return SeedModel(
        check_id(model.id, "models.id"),
        terms,
        parse_rates(model.usd_per_million_tokens, model.id),
        parse_tiers(tiers, model.id),
        service_tiers(model.service_tiers),
    )
