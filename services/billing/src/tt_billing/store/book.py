"""Loads and saves a Book: the one way in which balances change.

Invariant (the lock discipline): wallets are locked first, in the order of their account ids; a wallet's lock covers
its grants, holds, key months and key windows. A few wide statements a transaction, however many rows.
"""

from collections.abc import Iterable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from tt_billing.domain.book import Book, Grant, Hold, KeyMonth, KeyWindow, Wallet
from tt_billing.store.outbox import enqueue_events
from tt_common.clock import month_of
from tt_common.db.rows import Statement, array, columns, copy_rows, quoted, run_together, unnest, upsert_sql

_LEDGER: Final = {
    "transaction_id": "uuid",
    "leg": "smallint",
    "kind": "text",
    "account_id": "text",
    "debit": "text",
    "credit": "text",
    "amount_nanousd": "bigint",
    "source": "text",
    "source_id": "text",
    "grant_id": "text",
    "hold_id": "text",
    "key_id": "text",
    "month": "text",
    "price_version": "text",
    "details": "jsonb",
    "occurred_at_ms": "bigint",
    "booked_at_ms": "bigint",
}
_WALLETS: Final = {
    "account_id": "text",
    "available_nanousd": "bigint",
    "held_nanousd": "bigint",
    "overdraft_nanousd": "bigint",
    "low_balance_nanousd": "bigint",
    "low_notified": "boolean",
}
_GRANTS: Final = {
    "grant_id": "text",
    "account_id": "text",
    "key_id": "text",
    "edge_id": "text",
    "boot_epoch": "text",
    "month": "text",
    "state": "text",
    "revision": "bigint",
    "held_nanousd": "bigint",
    "captured_nanousd": "bigint",
    "settled_events": "bigint",
    "final_events": "bigint",
    "slice_window": "bigint",
    "slice_requests": "bigint",
    "slice_tokens": "bigint",
    "slice_concurrency": "bigint",
    "back_nanousd": "bigint",
    "back_requests": "bigint",
    "back_tokens": "bigint",
    "back_concurrency": "bigint",
    "requests_all_used": "boolean",
    "expires_clock_ms": "bigint",
    "lost_clock_ms": "bigint",
    "lost_usage_seq": "bigint",
    "opened_at_ms": "bigint",
}
_HOLDS: Final = {
    "hold_id": "text",
    "account_id": "text",
    "key_id": "text",
    "month": "text",
    "amount_nanousd": "bigint",
    "captured_nanousd": "bigint",
    "state": "text",
    "reason": "text",
    "ttl_s": "bigint",
    "expires_clock_ms": "bigint",
    "placed_at_ms": "bigint",
}
_WINDOWS: Final = {
    "key_id": "text",
    "account_id": "text",
    "revision": "bigint",
    "monthly_limit_nanousd": "bigint",
    "requests_per_minute": "bigint",
    "tokens_per_minute": "bigint",
    "concurrency": "bigint",
    "window": "bigint",
    "started_ms": "bigint",
    "requests_out": "bigint",
    "tokens_out": "bigint",
    "concurrency_out": "bigint",
}
_MONTHS: Final = {"key_id": "text", "month": "text", "spent_delta": "bigint", "held_delta": "bigint"}


def _select(table: str, types: dict[str, str], key: str) -> str:
    return f"SELECT {', '.join(quoted(c) for c in types)} FROM {table} WHERE {key} = ANY(CAST(:ids AS text[]))"


_MAKE_WALLETS: Final = (
    "INSERT INTO wallets (account_id) SELECT id FROM unnest(CAST(:ids AS text[])) AS r (id) ORDER BY id"
    " ON CONFLICT DO NOTHING"
)
_LOCK_WALLETS: Final = (
    f"SELECT {', '.join(_WALLETS)}, (SELECT clock_ms FROM billing_clock) AS clock_ms FROM wallets"
    " WHERE account_id = ANY(CAST(:ids AS text[])) ORDER BY account_id FOR UPDATE OF wallets"
)
_READ_GRANTS: Final = _select("grants", _GRANTS, "grant_id")
_READ_HOLDS: Final = _select("holds", _HOLDS, "hold_id")
_READ_WINDOWS: Final = _select("key_windows", _WINDOWS, "key_id")
_READ_MONTHS: Final = (
    "SELECT key_id, month, spent_nanousd, held_nanousd FROM key_months"
    " WHERE key_id = ANY(CAST(:ids AS text[])) AND month = ANY(CAST(:months AS text[]))"
)
_SAVE_WALLETS: Final = (
    "UPDATE wallets AS w SET available_nanousd = r.available_nanousd, held_nanousd = r.held_nanousd,"
    " overdraft_nanousd = r.overdraft_nanousd, low_balance_nanousd = r.low_balance_nanousd, low_notified = r.low_notified"
    f" FROM {unnest(_WALLETS)} WHERE w.account_id = r.account_id"
)
_SAVE_GRANTS: Final = upsert_sql("grants", _GRANTS, "grant_id")
_SAVE_HOLDS: Final = upsert_sql("holds", _HOLDS, "hold_id")
_SAVE_WINDOWS: Final = upsert_sql("key_windows", _WINDOWS, "key_id")
# Deltas, so that the counters of a key stay right even if an edge names it with another account's wallet.
_SAVE_MONTHS: Final = (
    "INSERT INTO key_months AS m (key_id, month, spent_nanousd, held_nanousd)"
    f" SELECT key_id, month, spent_delta, held_delta FROM {unnest(_MONTHS)} ORDER BY key_id, month"
    " ON CONFLICT (key_id, month) DO UPDATE SET spent_nanousd = m.spent_nanousd + excluded.spent_nanousd,"
    " held_nanousd = m.held_nanousd + excluded.held_nanousd"
)


async def load_book(
    connection: AsyncConnection,
    booked_at_ms: int,
    accounts: Iterable[str],
    *,
    grant_ids: Iterable[str] = (),
    key_ids: Iterable[str] = (),
    hold_ids: Iterable[str] = (),
) -> Book:
    """Lock the wallets of `accounts` (made where missing) and read what the ids name, with the keys of those grants and holds.

    One round trip where the grants and holds are of the `key_ids` and of this month, as nearly all are.
    """
    account_ids = array(sorted(set(accounts)))
    keys, months = set(key_ids), {month_of(booked_at_ms)}
    _, wallets, grants, holds, windows, key_months = await run_together(
        connection,
        (_MAKE_WALLETS, {"ids": account_ids}),
        (_LOCK_WALLETS, {"ids": account_ids}),
        (_READ_GRANTS, {"ids": array(sorted(set(grant_ids)))}),
        (_READ_HOLDS, {"ids": array(sorted(set(hold_ids)))}),
        *_of_keys(keys, months),
    )
    book = Book(booked_at_ms, wallets[0]["clock_ms"] if wallets else 0)
    for row in wallets:
        book.wallets[row["account_id"]] = Wallet(**{name: row[name] for name in _WALLETS})
    book.grants = {row["grant_id"]: Grant(**row) for row in grants}
    book.holds = {row["hold_id"]: Hold(**row) for row in holds}
    named = [*book.grants.values(), *book.holds.values()]
    if not (keys.issuperset(item.key_id for item in named) and months.issuperset(item.month for item in named)):
        keys.update(item.key_id for item in named)
        months.update(item.month for item in named)
        windows, key_months = await run_together(connection, *_of_keys(keys, months))
    book.windows = {row["key_id"]: KeyWindow(**row) for row in windows}
    book.months = {(row["key_id"], row["month"]): KeyMonth(**row) for row in key_months}
    return book


def _of_keys(key_ids: set[str], months: set[str]) -> tuple[Statement, Statement]:
    keys = array(sorted(key_ids))
    return (_READ_WINDOWS, {"ids": keys}), (_READ_MONTHS, {"ids": keys, "months": array(sorted(months))})


async def save_book(connection: AsyncConnection, book: Book) -> None:
    """Write the transfers and what they changed, and the events that tell of it. The caller commits."""
    book.watch_low_balances()
    if book.transfers:
        await copy_rows(connection, "ledger", _LEDGER, book.transfers)
    statements: list[Statement] = []
    if book.changed_wallets:
        wallets = [book.wallets[i] for i in sorted(book.changed_wallets)]
        statements.append((_SAVE_WALLETS, columns(wallets, _WALLETS)))
    if book.changed_grants:
        grants = [book.grants[i] for i in sorted(book.changed_grants)]
        statements.append((_SAVE_GRANTS, columns(grants, _GRANTS)))
    if book.changed_holds:
        holds = [book.holds[i] for i in sorted(book.changed_holds)]
        statements.append((_SAVE_HOLDS, columns(holds, _HOLDS)))
    if book.changed_windows:
        windows = [book.windows[i] for i in sorted(book.changed_windows)]
        statements.append((_SAVE_WINDOWS, columns(windows, _WINDOWS)))
    if months := [month for month in book.months.values() if month.spent_delta or month.held_delta]:
        statements.append((_SAVE_MONTHS, columns(months, _MONTHS)))
    if statements:
        await run_together(connection, *statements)
    await enqueue_events(connection, book.events)
