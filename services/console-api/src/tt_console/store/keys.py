"""API keys: rows, the hashes that they had before rotations, lists."""

from typing import Any

from sqlalchemy import func, select, union_all, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from tt_console.domain.keys import Key, KeySettings
from tt_console.store.tables import key_hashes, keys


class KeyStore:
    """Fulfils `usecases.ports.Keys` on the caller's transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, key: Key) -> None:
        await self._connection.execute(keys.insert().values(_values(key)))

    async def save(self, key: Key) -> None:
        await self._connection.execute(update(keys).where(keys.c.id == key.id).values(_values(key)))

    async def retire_hash(self, key_hash: str, key: Key, now_ms: int) -> None:
        await self._connection.execute(
            key_hashes.insert().values(hash=key_hash, key_id=key.id, revision=key.revision, rotated_at_ms=now_ms)
        )

    async def lock(self, key_id: str) -> Key | None:
        row = (await self._connection.execute(select(keys).where(keys.c.id == key_id).with_for_update())).first()
        return _key(row) if row else None

    async def retired_hashes(self, key_id: str) -> list[str]:
        query = select(key_hashes.c.hash).where(key_hashes.c.key_id == key_id).order_by(key_hashes.c.rotated_at_ms)
        return list((await self._connection.execute(query)).scalars())

    async def count(self, account_id: str) -> int:
        query = select(func.count()).select_from(keys).where(keys.c.account_id == account_id, _kept())
        return (await self._connection.execute(query)).scalar_one()

    async def named(self, account_id: str, name: str) -> list[Key]:
        query = select(keys).where(keys.c.account_id == account_id, keys.c.name == name, _kept()).order_by(keys.c.id)
        return [_key(row) for row in await self._connection.execute(query)]

    async def revisions_page(self, after: str, limit: int) -> list[tuple[str, str, int]]:
        every = union_all(
            select(keys.c.hash, keys.c.id.label("key_id"), keys.c.revision).where(keys.c.hash > after),
            select(key_hashes.c.hash, key_hashes.c.key_id, key_hashes.c.revision).where(key_hashes.c.hash > after),
        ).subquery()
        rows = await self._connection.execute(select(every).order_by(every.c.hash).limit(limit))
        return [(row.hash, row.key_id, row.revision) for row in rows]


async def get_key(connection: AsyncConnection, account_id: str, key_id: str) -> Key | None:
    """A key of this account that is not deleted."""
    query = select(keys).where(keys.c.id == key_id, keys.c.account_id == account_id, _kept())
    row = (await connection.execute(query)).first()
    return _key(row) if row else None


async def list_keys(connection: AsyncConnection, account_id: str, limit: int, before: str | None) -> list[Key]:
    """The account's keys that are not deleted, newest first."""
    query = select(keys).where(keys.c.account_id == account_id, _kept()).order_by(keys.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(keys.c.id < before)
    return [_key(row) for row in await connection.execute(query)]


def _kept() -> Any:
    return keys.c.status != "deleted"


def _values(key: Key) -> dict[str, Any]:
    settings = key.settings
    return {
        "id": key.id,
        "account_id": key.account_id,
        "hash": key.hash,
        "display": key.display,
        "name": settings.name,
        "status": key.status,
        "kind": key.kind,
        "revision": key.revision,
        "monthly_limit_nanousd": settings.monthly_limit_nanousd,
        "requests_per_minute": settings.requests_per_minute,
        "tokens_per_minute": settings.tokens_per_minute,
        "concurrency": settings.concurrency,
        "models": None if settings.models is None else list(settings.models),
        "ip_ranges": None if settings.ip_ranges is None else list(settings.ip_ranges),
        "expires_at_ms": settings.expires_at_ms,
        "cache": settings.cache,
        "created_at_ms": key.created_at_ms,
        "updated_at_ms": key.updated_at_ms,
    }


def _key(row: Row[Any]) -> Key:
    return Key(
        id=row.id,
        account_id=row.account_id,
        hash=row.hash,
        display=row.display,
        status=row.status,
        kind=row.kind,
        revision=row.revision,
        settings=KeySettings(
            name=row.name,
            monthly_limit_nanousd=row.monthly_limit_nanousd,
            requests_per_minute=row.requests_per_minute,
            tokens_per_minute=row.tokens_per_minute,
            concurrency=row.concurrency,
            models=None if row.models is None else tuple(row.models),
            ip_ranges=None if row.ip_ranges is None else tuple(row.ip_ranges),
            expires_at_ms=row.expires_at_ms,
            cache=row.cache,
        ),
        created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms,
    )
