"""Transactions as the use cases know them.

A database that can't be reached becomes Unavailable here, and nowhere else.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tt_billing.domain.records import BookedUsage
from tt_billing.store import (
    book,
    deposits,
    epochs,
    grants,
    ledger,
    outbox,
    prices,
    quarantine,
    reconcile,
    replay,
)
from tt_billing.store import usage_events as usage
from tt_common.contracts.wallets import BookedDeposit
from tt_common.db.availability import unavailable
from tt_common.db.positions import save_position
from tt_common.db.rows import run

UNREACHABLE: Final = "the ledger can't be reached now"


class PostgresUnit:
    """The store's functions, bound to one connection in a transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.load_book = partial(book.load_book, connection)
        self.save_book = partial(book.save_book, connection)
        self.enqueue_events = partial(outbox.enqueue_events, connection)

        self.alive_grants = partial(grants.alive_grants, connection)
        self.grant_accounts = partial(grants.grant_accounts, connection)
        self.silent_grants = partial(grants.silent_grants, connection)
        self.finished_lost_grants = partial(grants.finished_lost_grants, connection)
        self.doubt_grants = partial(grants.doubt_grants, connection)
        self.grants_of_closed_epochs = partial(grants.grants_of_closed_epochs, connection)
        self.overdue_holds = partial(grants.overdue_holds, connection)

        self.note_epoch = partial(epochs.note_epoch, connection)
        self.close_epoch = partial(epochs.close_epoch, connection)
        self.advance_watermark = partial(epochs.advance_watermark, connection)
        self.epochs_behind = partial(epochs.epochs_behind, connection)
        self.missing_events = partial(epochs.missing_events, connection)
        self.write_off = partial(epochs.write_off, connection)
        self.closed_unsettled_epochs = partial(epochs.closed_unsettled_epochs, connection)

        self.recorded = partial(usage.recorded, connection)
        self.append_usage = partial(usage.append_usage, connection)
        self.read_booked = partial(usage.read_booked, connection)
        self.stream_unflagged = partial(usage.stream_unflagged, connection)
        self.save_position = partial(save_position, connection)

        self.known_deposits = partial(deposits.known_deposits, connection)

        self.add_poison = partial(quarantine.add_poison, connection)
        self.read_quarantined = partial(quarantine.read_quarantined, connection)
        self.mark_settled = partial(quarantine.mark_settled, connection)
        self.count_quarantined = partial(quarantine.count_quarantined, connection)

        self.read_wallet = partial(ledger.read_wallet, connection)
        self.request_before = partial(ledger.request_before, connection)
        self.entries_of_account = partial(ledger.entries_of_account, connection)
        self.entries_of_source = partial(ledger.entries_of_source, connection)
        self.key_spend = partial(ledger.key_spend, connection)

        self.lock_model = partial(prices.lock_model, connection)
        self.save_revision = partial(prices.save_revision, connection)
        self.priced_models = partial(prices.priced_models, connection)
        self.versions_of = partial(prices.versions_of, connection)
        self.find_version = partial(prices.find_version, connection)
        self.add_version = partial(prices.add_version, connection)
        self.push_record = partial(prices.push_record, connection)

        self.ledger_size = partial(replay.ledger_size, connection)
        self.replay_differences = partial(replay.replay_differences, connection)
        self.reconcile_differences = partial(reconcile.reconcile_differences, connection)
        self.last_rated_position = partial(reconcile.last_rated_position, connection)
        self.save_report = partial(reconcile.save_report, connection)


class PostgresDatabase:
    """See usecases.ports.Database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PostgresUnit]:
        with unavailable(UNREACHABLE):
            async with self._engine.begin() as connection:
                yield PostgresUnit(connection)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[PostgresUnit]:
        with unavailable(UNREACHABLE):
            async with self._engine.connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ")
                await run(connection, "SET LOCAL statement_timeout = 0")
                await run(connection, "SET LOCAL idle_in_transaction_session_timeout = 0")
                yield PostgresUnit(connection)

    async def read_usage(self, after: int, limit: int) -> list[BookedUsage]:
        with unavailable(UNREACHABLE):
            return await usage.read_usage(self._engine, after, limit)

    async def read_deposits(self, after: int, limit: int) -> list[BookedDeposit]:
        with unavailable(UNREACHABLE):
            return await deposits.read_deposits(self._engine, after, limit)
