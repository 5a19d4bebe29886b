"""Models with their routes, and providers."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from tt_common.contracts.records import Route
from tt_console.domain.catalog import Model, ModelTerms, Provider, ProviderTerms
from tt_console.store.tables import models, providers, routes

CATALOG_MAX = 10_000


class CatalogStore:
    """Fulfils `usecases.ports.Catalog` on the caller's transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def lock_model(self, model_id: str) -> Model | None:
        row = (await self._connection.execute(select(models).where(models.c.id == model_id).with_for_update())).first()
        if row is None:
            return None
        return _model(row, (await _routes_of(self._connection, [model_id])).get(model_id, ()))

    async def save_model(self, model: Model) -> None:
        terms = model.terms
        values = {
            "status": model.status,
            "managed_by": model.managed_by,
            "revision": model.revision,
            "kind": terms.kind,
            "owned_by": terms.owned_by,
            "context_window": terms.context_window,
            "max_output_tokens": terms.max_output_tokens,
            "hold_output_tokens": terms.hold_output_tokens,
        }
        statement = insert(models).values(id=model.id, created_at_ms=model.created_at_ms, **values)
        await self._connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))
        await self._connection.execute(delete(routes).where(routes.c.model_id == model.id))
        if terms.routes:
            await self._connection.execute(
                routes.insert(),
                [
                    {
                        "model_id": model.id,
                        "position": position,
                        "provider_id": route.provider,
                        "upstream_model": route.upstream_model,
                        "priority": route.priority,
                        "weight": route.weight,
                    }
                    for position, route in enumerate(terms.routes)
                ],
            )

    async def lock_provider(self, provider_id: str) -> Provider | None:
        query = select(providers).where(providers.c.id == provider_id).with_for_update()
        row = (await self._connection.execute(query)).first()
        return _provider(row) if row else None

    async def save_provider(self, provider: Provider) -> None:
        terms = provider.terms
        values = {
            "status": provider.status,
            "managed_by": provider.managed_by,
            "revision": provider.revision,
            "dialect": terms.dialect,
            "base_url": terms.base_url,
            "key_ref": terms.key_ref,
            "headers": terms.headers,
            "connect_timeout_s": terms.connect_timeout_s,
            "first_byte_timeout_s": terms.first_byte_timeout_s,
            "between_bytes_timeout_s": terms.between_bytes_timeout_s,
            "responses": terms.responses,
        }
        statement = insert(providers).values(id=provider.id, created_at_ms=provider.created_at_ms, **values)
        await self._connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))

    async def missing_providers(self, provider_ids: Sequence[str]) -> list[str]:
        query = select(providers.c.id).where(providers.c.id.in_(provider_ids), providers.c.status != "deleted")
        found = set((await self._connection.execute(query.with_for_update(read=True))).scalars())
        return [provider_id for provider_id in provider_ids if provider_id not in found]

    async def models_routed_to(self, provider_id: str) -> list[str]:
        query = (
            select(models.c.id)
            .join(routes, routes.c.model_id == models.c.id)
            .where(routes.c.provider_id == provider_id, models.c.status != "deleted")
            .distinct()
            .order_by(models.c.id)
        )
        return list((await self._connection.execute(query)).scalars())

    async def missing_models(self, model_ids: Sequence[str]) -> list[str]:
        query = select(models.c.id).where(models.c.id.in_(model_ids), models.c.status != "deleted")
        found = set((await self._connection.execute(query)).scalars())
        return [model_id for model_id in model_ids if model_id not in found]

    async def seeded_price(self, model_id: str) -> str:
        query = select(models.c.seeded_price).where(models.c.id == model_id)
        return (await self._connection.execute(query)).scalar_one_or_none() or ""

    async def remember_seeded_price(self, model_id: str, fingerprint: str) -> None:
        await self._connection.execute(update(models).where(models.c.id == model_id).values(seeded_price=fingerprint))

    async def model_revisions(self) -> list[tuple[str, int]]:
        rows = await self._connection.execute(select(models.c.id, models.c.revision).order_by(models.c.id))
        return [(row.id, row.revision) for row in rows]

    async def provider_revisions(self) -> list[tuple[str, int]]:
        rows = await self._connection.execute(select(providers.c.id, providers.c.revision).order_by(providers.c.id))
        return [(row.id, row.revision) for row in rows]


async def list_models(connection: AsyncConnection) -> list[Model]:
    """Every model that is not deleted, in id order."""
    query = select(models).where(models.c.status != "deleted").order_by(models.c.id).limit(CATALOG_MAX)
    rows = (await connection.execute(query)).all()
    by_model = await _routes_of(connection, [row.id for row in rows])
    return [_model(row, by_model.get(row.id, ())) for row in rows]


async def list_providers(connection: AsyncConnection) -> list[Provider]:
    """Every provider that is not deleted, in id order."""
    query = select(providers).where(providers.c.status != "deleted").order_by(providers.c.id).limit(CATALOG_MAX)
    return [_provider(row) for row in await connection.execute(query)]


async def _routes_of(connection: AsyncConnection, model_ids: Sequence[str]) -> dict[str, tuple[Route, ...]]:
    query = select(routes).where(routes.c.model_id.in_(model_ids)).order_by(routes.c.model_id, routes.c.position)
    found: dict[str, tuple[Route, ...]] = {}
    for row in await connection.execute(query):
        route = Route(
            provider=row.provider_id, upstream_model=row.upstream_model, priority=row.priority, weight=row.weight
        )
        found[row.model_id] = (*found.get(row.model_id, ()), route)
    return found


def _model(row: Row[Any], model_routes: tuple[Route, ...]) -> Model:
    return Model(
        id=row.id,
        status=row.status,
        managed_by=row.managed_by,
        revision=row.revision,
        created_at_ms=row.created_at_ms,
        terms=ModelTerms(
            kind=row.kind,
            owned_by=row.owned_by,
            context_window=row.context_window,
            max_output_tokens=row.max_output_tokens,
            hold_output_tokens=row.hold_output_tokens,
            routes=model_routes,
        ),
    )


def _provider(row: Row[Any]) -> Provider:
    return Provider(
        id=row.id,
        status=row.status,
        managed_by=row.managed_by,
        revision=row.revision,
        created_at_ms=row.created_at_ms,
        terms=ProviderTerms(
            dialect=row.dialect,
            base_url=row.base_url,
            key_ref=row.key_ref,
            headers=row.headers,
            connect_timeout_s=row.connect_timeout_s,
            first_byte_timeout_s=row.first_byte_timeout_s,
            between_bytes_timeout_s=row.between_bytes_timeout_s,
            responses=row.responses,
        ),
    )
