"""Publish immutable price versions and keep the edges' copy of them complete."""

from tt_billing.domain.prices import check_rates, next_version, price_record
from tt_billing.usecases.context import Context
from tt_common.contracts.events import PricePublished
from tt_common.contracts.wallets import ListPrices, PriceList, PublishPrice
from tt_common.ids import derived_event_id
from tt_common.rating import Price, price_in_force


async def publish_price(context: Context, request: PublishPrice) -> Price:
    """The new version; the newest one where its rates are the same, so a repetition is harmless."""
    check_rates(request)
    now_ms = context.now_ms()
    async with context.database.begin() as unit:
        revision = await unit.lock_model(request.model) + 1
        versions = await unit.versions_of(request.model)
        price = next_version(versions, request, now_ms)
        if price is None:
            return versions[-1]
        await unit.add_version(price, request.actor)
        await unit.save_revision(request.model, revision)
        await unit.push_record(price_record(request.model, revision, (*versions, price), now_ms))
        published = PricePublished(
            id=derived_event_id("price_published", price.version),
            model=price.model,
            version=price.version,
            starts_at_ms=price.starts_at_ms,
            booked_at_ms=now_ms,
        )
        await unit.enqueue_events([published])
    context.poke_outbox()
    return price


async def list_prices(context: Context, request: ListPrices) -> PriceList:
    async with context.database.begin() as unit:
        versions = await unit.versions_of(request.model)
    if request.model is not None:
        return PriceList(prices=versions)
    by_model: dict[str, list[Price]] = {}
    for price in versions:
        by_model.setdefault(price.model, []).append(price)
    now_ms = context.now_ms()
    present = (price_in_force(tuple(of_model), now_ms) for of_model in by_model.values())
    return PriceList(prices=tuple(price for price in present if price is not None))


async def push_all_prices(context: Context) -> int:
    """Put every record again, so that a bucket that lost some is whole. Edges ignore what they have."""
    async with context.database.begin() as unit:
        models = await unit.priced_models()
    for model in models:
        async with context.database.begin() as unit:
            revision = await unit.lock_model(model)
            versions = await unit.versions_of(model)
            await unit.push_record(price_record(model, revision, versions, context.now_ms()))
    context.poke_outbox()
    return len(models)
