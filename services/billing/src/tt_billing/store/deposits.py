"""Deposits in the ledger: what is booked of some of them, and all of them in ledger order.

A ledger row has its `seq` before it is committed, so a reader could pass one that is not there yet. Whoever books deposits therefore holds
a shared advisory lock to the commit, and a reader takes it alone for a moment to learn how far everything is committed.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tt_billing.domain.book import Transfer
from tt_billing.domain.deposits import ENTRIES, SOURCE
from tt_common.contracts.wallets import BookedDeposit
from tt_common.db.rows import array, run, run_together

SEQUENCE_LOCK: Final = 7_305_021

_LOCK_SHARED: Final = "SELECT pg_advisory_xact_lock_shared(:lock)"
_KNOWN: Final = (
    f"SELECT {', '.join(Transfer.__struct_fields__)} FROM ledger"
    f" WHERE source = '{SOURCE}' AND source_id = ANY(CAST(:ids AS text[]))"
)
_PAGE: Final = (
    "SELECT seq, details ->> 'deposit_id' AS deposit_id, kind, account_id, amount_nanousd,"
    f" CAST(transaction_id AS text) AS transaction_id, booked_at_ms FROM ledger WHERE source = '{SOURCE}'"
)


async def known_deposits(connection: AsyncConnection, source_ids: Sequence[str]) -> dict[str, Transfer]:
    """What is booked under these source ids. Takes the writers' lock, because the caller books what is not there."""
    _, rows = await run_together(
        connection, (_LOCK_SHARED, {"lock": SEQUENCE_LOCK}), (_KNOWN, {"ids": array(source_ids)})
    )
    return {row["source_id"]: Transfer(**row) for row in rows}


async def read_deposits(engine: AsyncEngine, after: int, limit: int) -> list[BookedDeposit]:
    """Entries above `seq` `after`, in order; never skips one that commits later."""
    async with engine.begin() as connection:
        await run(connection, "SELECT pg_advisory_xact_lock(:lock)", lock=SEQUENCE_LOCK)
        last = (await run(connection, f"SELECT coalesce(max(seq), 0) FROM ledger WHERE source = '{SOURCE}'")).scalar()
    async with engine.connect() as connection:
        result = await run(
            connection,
            f"{_PAGE} AND seq > :after AND seq <= :last ORDER BY seq LIMIT :limit",
            after=after,
            last=last,
            limit=limit,
        )
        return [_booked(row) for row in result.mappings()]


def _booked(row: RowMapping) -> BookedDeposit:
    fields = dict(row)
    return BookedDeposit(entry=ENTRIES[fields.pop("kind")], **fields)
