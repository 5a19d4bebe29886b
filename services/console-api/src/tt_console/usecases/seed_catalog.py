"""Bring the catalog file into the catalog: providers, models with routes, prices. Safe to repeat.

Invariant: what an operator has taken over (managed_by operator) is left alone, and so is a price that an operator has published:
only a price that the file changed since it was last seeded is published.
"""

from collections.abc import Sequence

import msgspec

from tt_common.contracts.wallets import PublishPrice
from tt_common.ids import sha256_hex
from tt_console.domain.audit import SYSTEM, AuditEntry
from tt_console.domain.catalog_file import Seed, SeedModel, SeedProvider
from tt_console.usecases.ports import Billing, Database
from tt_console.usecases.put_catalog import put_model, put_provider


class SeedResult(msgspec.Struct, frozen=True):
    """How many rows of the file there are now, and how many prices were published."""

    providers: int
    models: int
    prices: int


async def seed_catalog(database: Database, billing: Billing, seed: Seed, now_ms: int) -> SeedResult:
    """Raises Unavailable when billing is away; what was done until then stays and is not done again."""
    async with database.transaction() as unit:
        for provider in sorted(seed.providers, key=_id):
            before = await unit.catalog.lock_provider(provider.id)
            if before is None or before.managed_by == "seed":
                await put_provider(unit, provider.id, provider.terms, "active", "seed", SYSTEM, now_ms)
        for model in sorted(seed.models, key=_id):
            known = await unit.catalog.lock_model(model.id)
            if known is None or known.managed_by == "seed":
                await put_model(unit, model.id, model.terms, "active", "seed", SYSTEM, now_ms)
    priced = await _publish_prices(database, billing, seed.models, now_ms)
    return SeedResult(len(seed.providers), len(seed.models), priced)


async def _publish_prices(database: Database, billing: Billing, models: Sequence[SeedModel], now_ms: int) -> int:
    in_force = {price.model for price in await billing.prices(None)}
    published = 0
    for model in models:
        fingerprint = sha256_hex(msgspec.json.encode((model.rates, model.long_context, model.service_tiers)).decode())
        async with database.transaction() as unit:
            seeded = await unit.catalog.seeded_price(model.id)
        if seeded == fingerprint and model.id in in_force:
            continue
        price = await billing.publish_price(
            PublishPrice(
                model=model.id,
                rates=model.rates,
                long_context=model.long_context,
                service_tiers=model.service_tiers,
                actor="seed",
            )
        )
        async with database.transaction() as unit:
            await unit.catalog.remember_seeded_price(model.id, fingerprint)
            entry = AuditEntry(
                actor=SYSTEM, action="price.published", target=model.id, after=msgspec.to_builtins(price)
            )
            await unit.audit(entry, now_ms)
        published += 1
    return published


def _id(entry: SeedModel | SeedProvider) -> str:
    return entry.id
