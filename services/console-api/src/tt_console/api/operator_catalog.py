"""Operators: models with their routes, providers, prices. Edges have a change within a second."""

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from tt_common.clock import now_ms
from tt_common.contracts.records import ModelKind, Route
from tt_common.contracts.wallets import PublishPrice
from tt_common.errors import DomainError
from tt_console.api.context import ContextDep
from tt_console.api.models import PriceOut, price_out
from tt_console.api.pages import Page, time_text, to_ms
from tt_console.api.session import OperatorDep, actor_of
from tt_console.domain.catalog import (
    Model,
    ModelTerms,
    Provider,
    ProviderTerms,
    RowStatus,
    check_provider_terms,
    check_reachable,
)
from tt_console.domain.prices import parse_rates, parse_tiers, service_tiers
from tt_console.store.catalog import list_models, list_providers
from tt_console.usecases.manage_wallet import publish_price
from tt_console.usecases.put_catalog import put_model, put_provider, remove_model, remove_provider

router = APIRouter(prefix="/operator", tags=["operator"])

WrittenStatus = Literal["active", "disabled"]
CatalogId = Annotated[str, Path(max_length=128)]


class RouteBody(BaseModel):
    """A way to a model: lower `priority` first, `weight` spreads within a priority."""

    model_config = ConfigDict(extra="forbid")

    provider: str = Field(max_length=128)
    upstream_model: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")
    priority: int = Field(default=0, strict=True, ge=0, le=1000)
    weight: int = Field(default=1, strict=True, ge=1, le=1_000_000)


class ModelTermsBody(BaseModel):
    """A model without its status. `hold_output_tokens` sizes the hold of a call that names no output limit."""

    model_config = ConfigDict(extra="forbid")

    kind: ModelKind
    owned_by: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00]*$")
    context_window: int = Field(strict=True)
    max_output_tokens: int = Field(strict=True)
    hold_output_tokens: int = Field(strict=True)
    routes: list[RouteBody] = Field(max_length=100)


class ModelBody(ModelTermsBody):
    """A model as operators write it."""

    status: WrittenStatus = "active"


class ProviderTermsBody(BaseModel):
    """A provider without its status. `responses`: it has OpenAI's Responses API too.

    `key_ref` names the edge's variable, `env:…_API_KEY`; a literal secret is refused."""

    model_config = ConfigDict(extra="forbid")

    dialect: Literal["openai", "anthropic", "gemini"] = "openai"
    base_url: str = Field(max_length=500, pattern=r"^[^\x00-\x20]*$")
    key_ref: str | None = Field(default=None, max_length=200)
    headers: dict[str, str] = Field(default={}, max_length=20)
    connect_timeout_s: float = 5.0
    first_byte_timeout_s: float = 120.0
    between_bytes_timeout_s: float = 120.0
    responses: bool = False


class ProviderBody(ProviderTermsBody):
    """A provider as operators write it."""

    status: WrittenStatus = "active"


class ModelDetail(ModelTermsBody):
    object: Literal["model"] = "model"
    id: str
    status: RowStatus
    managed_by: Literal["seed", "operator"]
    revision: int
    created_at: str | None


class ProviderDetail(ProviderTermsBody):
    object: Literal["provider"] = "provider"
    id: str
    status: RowStatus
    managed_by: Literal["seed", "operator"]
    revision: int
    created_at: str | None


class TierBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    above_tokens: int = Field(strict=True, ge=1, le=100_000_000)
    usd_per_million_tokens: dict[str, str]


class PriceBody(BaseModel):
    """Decimal USD per million tokens by class: input, cache_read, cache_write_5m, cache_write_1h, output, audio_input,
    audio_output, image_input; USD for one of image, server_tool_call, second, character. `service_tiers`: percent of all that
    where the provider names that tier. Without `starts_at` it starts now."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(max_length=128)
    usd_per_million_tokens: dict[str, str] = Field(min_length=1)
    long_context: list[TierBody] = Field(default=[], max_length=10)
    service_tiers: dict[str, Annotated[int, Field(strict=True, ge=0, le=10_000)]] = Field(default={}, max_length=10)
    starts_at: AwareDatetime | None = None


class PriceDetail(PriceOut):
    model: str


@router.get("/models")
async def get_models(_: OperatorDep, context: ContextDep) -> Page[ModelDetail]:
    """All models with their routes."""
    async with context.database.reading() as connection:
        return Page(data=[_model_detail(model) for model in await list_models(connection)])


@router.get("/models/{model_id:path}")
async def get_model(model_id: CatalogId, _: OperatorDep, context: ContextDep) -> ModelDetail:
    async with context.database.reading() as connection:
        found = [model for model in await list_models(connection) if model.id == model_id]
    if not found:
        raise DomainError("model_not_found", "there is no such model")
    return _model_detail(found[0])


@router.put("/models/{model_id:path}")
async def put_one_model(
    model_id: CatalogId, body: ModelBody, request: Request, session: OperatorDep, context: ContextDep
) -> ModelDetail:
    """Make a model or replace it; from then on the seed leaves it alone."""
    terms = ModelTerms(
        kind=body.kind,
        owned_by=body.owned_by,
        context_window=body.context_window,
        max_output_tokens=body.max_output_tokens,
        hold_output_tokens=body.hold_output_tokens,
        routes=tuple(Route(**route.model_dump()) for route in body.routes),
    )
    actor = actor_of(request, context, session)
    async with context.database.transaction() as unit:
        model = await put_model(unit, model_id, terms, body.status, "operator", actor, now_ms())
    return _model_detail(model)


@router.delete("/models/{model_id:path}", status_code=204)
async def delete_model(model_id: CatalogId, request: Request, session: OperatorDep, context: ContextDep) -> None:
    """The model can't be called any more; its prices and usage stay."""
    async with context.database.transaction() as unit:
        await remove_model(unit, model_id, actor_of(request, context, session), now_ms())


@router.get("/providers")
async def get_providers(_: OperatorDep, context: ContextDep) -> Page[ProviderDetail]:
    async with context.database.reading() as connection:
        return Page(data=[_provider_detail(provider) for provider in await list_providers(connection)])


@router.get("/providers/{provider_id:path}")
async def get_provider(provider_id: CatalogId, _: OperatorDep, context: ContextDep) -> ProviderDetail:
    async with context.database.reading() as connection:
        found = [provider for provider in await list_providers(connection) if provider.id == provider_id]
    if not found:
        raise DomainError("provider_not_found", "there is no such provider")
    return _provider_detail(found[0])


@router.put("/providers/{provider_id:path}")
async def put_one_provider(
    provider_id: CatalogId, body: ProviderBody, request: Request, session: OperatorDep, context: ContextDep
) -> ProviderDetail:
    """Make a provider or replace it; from then on the seed leaves it alone."""
    terms = ProviderTerms(**body.model_dump(exclude={"status"}))
    check_provider_terms(terms)
    check_reachable(terms.base_url, context.provider_networks)
    actor = actor_of(request, context, session)
    async with context.database.transaction() as unit:
        provider = await put_provider(unit, provider_id, terms, body.status, "operator", actor, now_ms())
    return _provider_detail(provider)


@router.delete("/providers/{provider_id:path}", status_code=204)
async def delete_provider(provider_id: CatalogId, request: Request, session: OperatorDep, context: ContextDep) -> None:
    """Refused while a model routes to it."""
    async with context.database.transaction() as unit:
        await remove_provider(unit, provider_id, actor_of(request, context, session), now_ms())


@router.get("/prices")
async def get_prices(
    _: OperatorDep, context: ContextDep, model: Annotated[str | None, Query(max_length=128)] = None
) -> Page[PriceDetail]:
    """Every version of one model's price, or the version in force of every model."""
    prices = await context.billing.prices(model)
    return Page(
        data=[PriceDetail(model=price.model, **price_out(price, context.credit).model_dump()) for price in prices]
    )


@router.post("/prices", status_code=201)
async def post_price(body: PriceBody, request: Request, session: OperatorDep, context: ContextDep) -> PriceDetail:
    """Publish a new version; versions never change. The same rates as the newest give that version."""
    tiers = [(tier.above_tokens, tier.usd_per_million_tokens) for tier in body.long_context]
    command = PublishPrice(
        model=body.model,
        rates=parse_rates(body.usd_per_million_tokens, "usd_per_million_tokens"),
        actor=session.user.email,
        long_context=parse_tiers(tiers, "long_context"),
        service_tiers=service_tiers(body.service_tiers),
        starts_at_ms=to_ms(body.starts_at),
    )
    actor = actor_of(request, context, session)
    price = await publish_price(context.database, context.billing, command, actor, now_ms)
    return PriceDetail(model=price.model, **price_out(price, context.credit).model_dump())


def _model_detail(model: Model) -> ModelDetail:
    return ModelDetail(
        id=model.id,
        managed_by=model.managed_by,
        revision=model.revision,
        created_at=time_text(model.created_at_ms),
        status=model.status,
        **msgspec.to_builtins(model.terms),
    )


def _provider_detail(provider: Provider) -> ProviderDetail:
    return ProviderDetail(
        id=provider.id,
        managed_by=provider.managed_by,
        revision=provider.revision,
        created_at=time_text(provider.created_at_ms),
        status=provider.status,
        **msgspec.to_builtins(provider.terms),
    )
