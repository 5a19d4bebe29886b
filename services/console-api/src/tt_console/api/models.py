"""The models that a customer can call, with the prices in force."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from tt_common.rating import Price
from tt_console.api.context import ContextDep
from tt_console.api.pages import Page, time_text
from tt_console.api.session import SessionDep
from tt_console.domain.catalog import Model
from tt_console.domain.prices import Credit, rates_in_credit, rates_in_usd
from tt_console.store.catalog import list_models

router = APIRouter(tags=["models"])


class TierOut(BaseModel):
    """Prices for prompts longer than `above_tokens`."""

    above_tokens: int
    usd_per_million_tokens: dict[str, str]


class PriceOut(BaseModel):
    """By token class: USD, and the deployment's credit where one is set, per million tokens (what is no token: for one).

    `service_tiers`: percent of that where the provider says that it served the call in that tier.
    """

    version: str
    starts_at: str | None
    usd_per_million_tokens: dict[str, str]
    credit_name: str | None = None
    credit_per_million_tokens: dict[str, str] | None = None
    long_context: list[TierOut]
    service_tiers: dict[str, int]


class ModelOut(BaseModel):
    object: Literal["model"] = "model"
    id: str
    kind: str
    owned_by: str
    context_window: int
    max_output_tokens: int
    price: PriceOut


@router.get("/models")
async def get_models(_: SessionDep, context: ContextDep) -> Page[ModelOut]:
    """Every model that can be called now: active, and with a price in force."""
    async with context.database.reading() as connection:
        models = await list_models(connection)
    prices = {price.model: price for price in await context.billing.prices(None)}
    data = [
        _model_out(model, prices[model.id], context.credit)
        for model in models
        if model.status == "active" and model.id in prices
    ]
    return Page(data=data)


def price_out(price: Price, credit: Credit | None) -> PriceOut:
    """A price version as the API shows it."""
    return PriceOut(
        version=price.version,
        starts_at=time_text(price.starts_at_ms),
        usd_per_million_tokens=rates_in_usd(price.rates),
        credit_name=credit.name if credit else None,
        credit_per_million_tokens=rates_in_credit(price.rates, credit) if credit else None,
        long_context=[
            TierOut(above_tokens=tier.above_tokens, usd_per_million_tokens=rates_in_usd(tier.rates))
            for tier in price.long_context
        ],
        service_tiers={tier.name: tier.percent for tier in price.service_tiers},
    )


def _model_out(model: Model, price: Price, credit: Credit | None) -> ModelOut:
    return ModelOut(
        id=model.id,
        kind=model.terms.kind,
        owned_by=model.terms.owned_by,
        context_window=model.terms.context_window,
        max_output_tokens=model.terms.max_output_tokens,
        price=price_out(price, credit),
    )
