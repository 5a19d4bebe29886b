"""What the reconciliation reads, and its reports. Heights are of blocks, both ends included; amounts are micro-USDT."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Final, Literal

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tt_common.contracts.deposits import ReconciliationReport, StateSum
from tt_common.db.rows import array, run
from tt_deposits.domain.assignments import CONFLICT, RESTORED
from tt_deposits.domain.records import Deposit
from tt_deposits.domain.sums import AddressTotals, Moved
from tt_deposits.store.deposits import read_deposits
from tt_deposits.usecases.desk_ports import CheckedAddress, SweptAddress

LOCK: Final = 7_305_033
"""Held on a connection of its own while one runs, by whichever process."""

_CONFIRMED: Final = "d.state NOT IN ('confirming', 'orphaned')"
_MOVED_IN: Final = f"""
SELECT d.txid, d.from_address AS sender, a.address AS recipient, d.amount_micro_usdt AS amount
FROM deposits d JOIN addresses a ON a.index = d.address_index
WHERE d.address_index = ANY(CAST(:indexes AS bigint[])) AND d.block_height BETWEEN :first AND :last AND {_CONFIRMED}"""
_MOVED_OUT: Final = """
SELECT o.txid, a.address AS sender, o.to_address AS recipient, o.amount_micro_usdt AS amount
FROM outgoing_transfers o JOIN addresses a ON a.index = o.address_index
WHERE o.address_index = ANY(CAST(:indexes AS bigint[])) AND o.block_height BETWEEN :first AND :last"""
_COMPARED: Final = f"a.skipped_reason IN ('', '{RESTORED}', '{CONFLICT}')"
"""What nobody gets after a restore is compared all the same; only addresses that had something before us can't be."""
_CHANGED: Final = f"""
(SELECT d.address_index FROM deposits d WHERE d.block_height >= :since AND {_CONFIRMED}
UNION SELECT o.address_index FROM outgoing_transfers o WHERE o.block_height >= :since)"""
_WRONG_ADDRESSES: Final = f"""
SELECT a.index, a.address, a.received_micro_usdt AS received, a.sent_micro_usdt AS sent,
    coalesce(i.amount, 0) AS deposited, coalesce(o.amount, 0) AS outgoing
FROM addresses a
LEFT JOIN (SELECT d.address_index, sum(d.amount_micro_usdt) AS amount FROM deposits d WHERE {_CONFIRMED} GROUP BY 1) i
    ON i.address_index = a.index
LEFT JOIN (SELECT address_index, sum(amount_micro_usdt) AS amount FROM outgoing_transfers GROUP BY 1) o
    ON o.address_index = a.index
WHERE a.received_micro_usdt <> coalesce(i.amount, 0) OR a.sent_micro_usdt <> coalesce(o.amount, 0)
ORDER BY a.index LIMIT :max"""


async def first_watched_height(connection: AsyncConnection) -> int | None:
    """Transfers from here on are ours to know; None while there is no address."""
    result = await run(
        connection, f"SELECT min(a.checked_height) + 1 FROM addresses a WHERE a.checked_height > 0 AND {_COMPARED}"
    )
    return result.scalar_one()


async def count_addresses(connection: AsyncConnection) -> int:
    return int((await run(connection, f"SELECT count(*) FROM addresses a WHERE {_COMPARED}")).scalar_one())


async def checked_addresses(
    connection: AsyncConnection, after: int, limit: int, changed_since: int | None = None
) -> list[CheckedAddress]:
    """By index; those with transfers in blocks from `changed_since` on, where it is given."""
    changed = "" if changed_since is None else f" AND a.index IN {_CHANGED}"
    result = await run(
        connection,
        "SELECT a.index, a.address, a.received_micro_usdt AS received, a.sent_micro_usdt AS sent FROM addresses a"
        f" WHERE a.index > :after AND {_COMPARED}{changed} ORDER BY a.index LIMIT :row_limit",
        after=after,
        row_limit=limit,
        **({} if changed_since is None else {"since": changed_since}),
    )
    return [
        CheckedAddress(r["index"], bytes(r["address"]), int(r["received"]), int(r["sent"])) for r in result.mappings()
    ]


async def swept_addresses(connection: AsyncConnection, after: int, limit: int) -> list[SweptAddress]:
    """Those that ever got USDT, by index."""
    result = await run(
        connection,
        "SELECT index, address, account_id, received_micro_usdt, sent_micro_usdt, activated_at_ms IS NOT NULL AS activated,"
        " blacklisted_at_ms IS NOT NULL AS blacklisted, last_deposit_at_ms"
        " FROM addresses WHERE index > :after AND received_micro_usdt > 0 ORDER BY index LIMIT :row_limit",
        after=after,
        row_limit=limit,
    )
    return [
        SweptAddress(
            index=row["index"],
            address=bytes(row["address"]),
            account_id=row["account_id"],
            received_micro_usdt=int(row["received_micro_usdt"]),
            sent_micro_usdt=int(row["sent_micro_usdt"]),
            activated=row["activated"],
            blacklisted=row["blacklisted"],
            last_deposit_at_ms=row["last_deposit_at_ms"],
        )
        for row in result.mappings()
    ]


async def moved_in(connection: AsyncConnection, indexes: Collection[int], first: int, last: int) -> list[Moved]:
    """Confirmed deposits to these addresses."""
    return await _moved(connection, _MOVED_IN, indexes, first, last)


async def moved_out(connection: AsyncConnection, indexes: Collection[int], first: int, last: int) -> list[Moved]:
    """Transfers from these addresses."""
    return await _moved(connection, _MOVED_OUT, indexes, first, last)


async def state_sums(connection: AsyncConnection) -> list[StateSum]:
    """Of deposits in solid blocks, by state."""
    result = await run(
        connection,
        "SELECT d.state, count(*) AS deposits, sum(d.amount_micro_usdt) AS amount FROM deposits d"
        f" WHERE {_CONFIRMED} GROUP BY d.state ORDER BY d.state",
    )
    return [StateSum(state=r.state, deposits=int(r.deposits), amount_micro_usdt=int(r.amount)) for r in result]


async def address_totals(connection: AsyncConnection) -> AddressTotals:
    result = await run(
        connection,
        "SELECT (SELECT coalesce(sum(received_micro_usdt), 0) FROM addresses) AS received,"
        " (SELECT coalesce(sum(sent_micro_usdt), 0) FROM addresses) AS sent,"
        " (SELECT coalesce(sum(amount_micro_usdt), 0) FROM outgoing_transfers) AS outgoing",
    )
    row = result.one()
    return AddressTotals(int(row.received), int(row.sent), int(row.outgoing))


async def wrong_addresses(connection: AsyncConnection, limit: int) -> list[tuple[bytes, str, str]]:
    """Addresses whose sums are not those of their transfers: (address, what the transfers say, what it says)."""
    result = await run(connection, _WRONG_ADDRESSES, max=limit)
    return [(bytes(r.address), f"{r.deposited} in, {r.outgoing} out", f"{r.received} in, {r.sent} out") for r in result]


async def booked_deposits(connection: AsyncConnection, after: str, limit: int) -> list[Deposit]:
    """Those whose entry billing has answered, by id."""
    return await read_deposits(
        connection,
        "d.deposit_id > :after AND d.booked AND d.entry <> '' ORDER BY d.deposit_id LIMIT :row_limit",
        after=after,
        row_limit=limit,
    )


async def deposits_by_id(connection: AsyncConnection, deposit_ids: Collection[str]) -> dict[str, Deposit]:
    """Without a lock."""
    condition = "d.deposit_id = ANY(CAST(:ids AS text[]))"
    return {d.deposit_id: d for d in await read_deposits(connection, condition, ids=array(deposit_ids))}


async def save_report(connection: AsyncConnection, report: ReconciliationReport) -> None:
    await run(
        connection,
        "INSERT INTO reconciliations (clean, report, made_at_ms) VALUES (:clean, CAST(:report AS jsonb), :made_at_ms)",
        clean=report.clean,
        report=msgspec.json.encode(report).decode(),
        made_at_ms=report.made_at_ms,
    )


async def last_report(
    connection: AsyncConnection, which: Literal["any", "first", "complete", "clean"] = "any"
) -> ReconciliationReport | None:
    """The last of its kind; `complete`: nothing was left unchecked. `first` is the oldest there is."""
    where = {"complete": "coalesce(report->'unchecked', '[]') = '[]'", "clean": "clean"}.get(which, "true")
    order = "ASC" if which == "first" else "DESC"
    row = (
        await run(connection, f"SELECT report FROM reconciliations WHERE {where} ORDER BY id {order} LIMIT 1")
    ).first()
    return None if row is None else msgspec.convert(row.report, ReconciliationReport)


@asynccontextmanager
async def reconciling_alone(engine: AsyncEngine) -> AsyncIterator[bool]:
    """True inside where no other process runs one. The lock goes with its connection."""
    async with engine.connect() as connection:
        connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
        taken = (await run(connection, "SELECT pg_try_advisory_lock(:lock)", lock=LOCK)).scalar_one()
        try:
            yield bool(taken)
        finally:
            if taken and not connection.closed:
                await run(connection, "SELECT pg_advisory_unlock(:lock)", lock=LOCK)


async def is_reconciling(connection: AsyncConnection) -> bool:
    """Whether any process runs one now."""
    result = await run(
        connection,
        "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = :lock AND granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
        lock=LOCK,
    )
    return bool(result.scalar_one())


async def _moved(connection: AsyncConnection, sql: str, indexes: Collection[int], first: int, last: int) -> list[Moved]:
    result = await run(connection, sql, indexes=array(indexes), first=first, last=last)
    return [Moved(bytes(r.txid), bytes(r.sender), bytes(r.recipient), int(r.amount)) for r in result]
