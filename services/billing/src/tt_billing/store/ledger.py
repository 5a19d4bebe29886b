"""Reading the ledger: entries of an account, of a cause."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from tt_billing.domain.book import Wallet
from tt_billing.domain.records import RequestBefore
from tt_common.contracts.wallets import Entry
from tt_common.db.rows import run

_ENTRY = (
    "SELECT seq, CAST(transaction_id AS text) AS transaction_id, kind, debit, credit, amount_nanousd, source, source_id, details,"
    " occurred_at_ms, booked_at_ms FROM ledger"
)


async def entries_of_account(
    connection: AsyncConnection, account_id: str, before: int | None, limit: int
) -> list[Entry]:
    """Newest first, below sequence `before`."""
    result = await run(
        connection,
        f"{_ENTRY} WHERE account_id = :account_id AND seq < :before ORDER BY seq DESC LIMIT :limit",
        account_id=account_id,
        before=2**62 if before is None else before,
        limit=limit,
    )
    return [_entry(row) for row in result.mappings()]


async def entries_of_source(connection: AsyncConnection, source: str, source_id: str) -> list[Entry]:
    """All legs of what one cause did."""
    result = await run(
        connection,
        f"{_ENTRY} WHERE source = :source AND source_id = :source_id ORDER BY leg",
        source=source,
        source_id=source_id,
    )
    return [_entry(row) for row in result.mappings()]


def _entry(row: RowMapping) -> Entry:
    fields: dict[str, Any] = dict(row)
    fields["details"] = {name: value for name, value in fields["details"].items() if name != "body_sha256"}
    return Entry(**fields)


async def request_before(connection: AsyncConnection, source: str, source_id: str) -> RequestBefore | None:
    """What a request id has done before, or None."""
    result = await run(
        connection,
        "SELECT account_id, details ->> 'body_sha256' AS body FROM ledger WHERE source = :source AND source_id = :source_id",
        source=source,
        source_id=source_id,
    )
    row = result.first()
    return None if row is None else RequestBefore(row.account_id, row.body)


async def read_wallet(connection: AsyncConnection, account_id: str) -> Wallet:
    """Without a lock; an empty one for an unknown account."""
    result = await run(connection, "SELECT * FROM wallets WHERE account_id = :account_id", account_id=account_id)
    row = result.mappings().first()
    return Wallet(account_id=account_id) if row is None else Wallet(**row)


async def key_spend(connection: AsyncConnection, key_ids: Sequence[str], month: str) -> dict[str, tuple[int, int]]:
    """(spent, held) of keys in a month, nanoUSD; keys without any are left out."""
    result = await run(
        connection,
        "SELECT key_id, spent_nanousd, held_nanousd FROM key_months WHERE key_id = ANY(:ids) AND month = :month",
        ids=list(key_ids),
        month=month,
    )
    return {row.key_id: (row.spent_nanousd, row.held_nanousd) for row in result}
