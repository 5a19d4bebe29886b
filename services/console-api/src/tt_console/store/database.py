"""Transactions: one `Unit` gives the use cases everything that belongs to a change, on one connection.

Invariant: a change, its audit row and its outbox rows commit together or not at all.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tt_common.db.outbox import OutboxMessage, enqueue
from tt_console.domain.audit import AuditEntry, WalletChange
from tt_console.domain.messages import Message
from tt_console.store import tables
from tt_console.store.audit import add_entry, wallet_changes
from tt_console.store.catalog import CatalogStore
from tt_console.store.deliveries import DeliveryStore
from tt_console.store.identity import IdentityStore
from tt_console.store.keys import KeyStore
from tt_console.store.positions import PositionStore
from tt_console.store.usage import UsageStore
from tt_console.store.webhooks import WebhookStore


class Transaction:
    """One open transaction (fulfils `usecases.ports.Unit`)."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.identity = IdentityStore(connection)
        self.keys = KeyStore(connection)
        self.catalog = CatalogStore(connection)
        self.usage = UsageStore(connection)
        self.positions = PositionStore(connection)
        self.webhooks = WebhookStore(connection)
        self.deliveries = DeliveryStore(connection)
        self.published = False

    async def audit(self, entry: AuditEntry, now_ms: int) -> None:
        await add_entry(self._connection, entry, now_ms)

    async def wallet_changes(self, since_ms: int) -> list[WalletChange]:
        return await wallet_changes(self._connection, since_ms)

    async def publish(self, messages: Sequence[Message]) -> None:
        self.published = self.published or bool(messages)
        await enqueue(
            self._connection, tables.outbox, [OutboxMessage(m.subject, m.payload, dict(m.headers)) for m in messages]
        )


class PostgresDatabase:
    """The service's database. `on_published` is awaited after a commit that added to the outbox."""

    def __init__(self, engine: AsyncEngine, on_published: Callable[[], Awaitable[object]]) -> None:
        self.engine = engine
        self._on_published = on_published

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with self.engine.begin() as connection:
            unit = Transaction(connection)
            yield unit
        if unit.published:
            await self._on_published()

    async def check(self) -> str | None:
        """None when the database answers, for /readyz."""
        try:
            async with self.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except (SQLAlchemyError, OSError) as error:
            return type(error).__name__
        return None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection for queries only."""
        async with self.engine.connect() as connection:
            yield connection
