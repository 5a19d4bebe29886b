"""Loading a book: several statements in one round trip, under the wallets' locks."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.billing.conftest import Billing, eventually
from tt_billing.domain.book import Grant, KeyMonth, KeyWindow
from tt_billing.store.book import load_book, save_book
from tt_common.db.engine import make_engine

NOW_MS = 1_780_000_000_000


@pytest.fixture
async def engine(idle_billing: Billing) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(idle_billing.settings.database_url, "test", pool_size=2)
    yield engine
    await engine.dispose()


def grant(key_id: str, month: str) -> Grant:
    return Grant(
        grant_id="g1",
        account_id="acc_1",
        key_id=key_id,
        edge_id="e",
        boot_epoch="epoch",
        month=month,
        opened_at_ms=NOW_MS,
    )


async def test_a_read_after_a_lock_sees_what_the_lock_waited_for(idle_billing: Billing, engine: AsyncEngine) -> None:
    # given a transaction that has locked the wallet and opened a grant
    async with engine.connect() as connection:
        book = await load_book(connection, NOW_MS, ["acc_1"], grant_ids=["g1"])
        book.grants["g1"] = grant("key_1", book.month)
        book.changed_grants.add("g1")
        await save_book(connection, book)

        # when another one loads the same, and the first commits
        async def load() -> list[str]:
            async with engine.begin() as other:
                return list((await load_book(other, NOW_MS, ["acc_1"], grant_ids=["g1"])).grants)

        waiting = asyncio.create_task(load())
        await eventually(lambda: idle_billing.rows("SELECT 1 FROM pg_locks WHERE NOT granted"))
        await connection.commit()

    # then the other one has the grant, although its statements were sent before that
    assert await waiting == ["g1"]


async def test_keys_and_months_that_only_a_grant_names_are_loaded(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        book = await load_book(connection, NOW_MS, ["acc_1"])
        book.grants["g1"] = grant("key_of_grant", "2025-01")
        book.changed_grants.add("g1")
        book.windows["key_of_grant"] = KeyWindow(key_id="key_of_grant", account_id="acc_1", window=7)
        book.changed_windows.add("key_of_grant")
        book.months["key_of_grant", "2025-01"] = KeyMonth(key_id="key_of_grant", month="2025-01", spent_delta=5)
        await save_book(connection, book)
    async with engine.begin() as connection:
        found = await load_book(connection, NOW_MS, ["acc_1"], grant_ids=["g1"], key_ids=["key_of_event"])
    assert found.windows["key_of_grant"].window == 7
    assert found.months["key_of_grant", "2025-01"].spent_nanousd == 5
