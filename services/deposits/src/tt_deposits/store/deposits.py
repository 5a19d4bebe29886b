"""Rows of deposits with their timeline, and what addresses have got. Amounts are micro-USDT; ids of the chain are bytes.

Who locks deposits locks them in the order of their ids; the scanner has locked their addresses before.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from tt_common.db.rows import array, run, unnest, upsert_sql
from tt_deposits.domain.changes import Received, Step
from tt_deposits.domain.records import BlockRef, Deposit, Transfer
from tt_deposits.usecases.desk_ports import RecordFilter

_TYPES: Final = {
    "deposit_id": "text",
    "network": "text",
    "txid": "bytea",
    "log_index": "integer",
    "address_index": "bigint",
    "account_id": "text",
    "from_address": "bytea",
    "amount_micro_usdt": "numeric",
    "block_height": "bigint",
    "block_id": "bytea",
    "block_time_ms": "bigint",
    "state": "text",
    "entry": "text",
    "asked_at_ms": "bigint",
    "asked_times": "integer",
    "booked": "boolean",
    "held_reason": "text",
    "actor": "text",
    "reason": "text",
    "order_id": "text",
    "detected_at_ms": "bigint",
    "confirmed_at_ms": "bigint",
    "credited_at_ms": "bigint",
    "transaction_id": "text",
}
_SELECT: Final = (
    f"SELECT {', '.join(f'd.{column}' for column in _TYPES)}, a.address AS to_address"
    " FROM deposits d JOIN addresses a ON a.index = d.address_index"
)
_UPSERT: Final = upsert_sql("deposits", _TYPES, "deposit_id")
_STEP_TYPES: Final = {
    "place": "integer",
    "deposit_id": "text",
    "state": "text",
    "actor": "text",
    "detail": "text",
    "at_ms": "bigint",
}
_ADD_STEPS: Final = (
    "INSERT INTO deposit_changes (deposit_id, number, state, actor, detail, at_ms)"
    " SELECT r.deposit_id,"
    " (SELECT coalesce(max(c.number), 0) FROM deposit_changes c WHERE c.deposit_id = r.deposit_id)"
    " + row_number() OVER (PARTITION BY r.deposit_id ORDER BY r.place), r.state, r.actor, r.detail, r.at_ms"
    f" FROM {unnest(_STEP_TYPES)}"
)
_RECEIVED_TYPES: Final = {"index": "bigint", "amount": "numeric", "time_ms": "bigint"}
_ADD_RECEIVED: Final = (
    "UPDATE addresses a SET received_micro_usdt = a.received_micro_usdt + r.amount,"
    " last_deposit_at_ms = GREATEST(a.last_deposit_at_ms, r.time_ms)"
    f" FROM {unnest(_RECEIVED_TYPES)} WHERE a.index = r.index"
)
_OVERDUE: Final = (
    f"{_SELECT} WHERE d.entry <> '' AND NOT d.booked"
    " AND d.asked_at_ms <= CAST(:now_ms AS bigint) - CAST(:first_ms AS bigint)"
    " AND d.asked_at_ms + LEAST(CAST(:most_ms AS bigint),"
    " CAST(:first_ms AS bigint) * CAST(2 ^ LEAST(GREATEST(d.asked_times, 1) - 1, 20) AS bigint)) <= CAST(:now_ms AS bigint)"
    " ORDER BY d.asked_at_ms LIMIT :limit FOR UPDATE OF d SKIP LOCKED"
)


async def lock_deposits(connection: AsyncConnection, deposit_ids: Collection[str]) -> dict[str, Deposit]:
    """Those of the ids that are there, by id; others wait for them until the end of the transaction."""
    return {d.deposit_id: d for d in await _locked(connection, "d.deposit_id = ANY(CAST(:ids AS text[]))", deposit_ids)}


async def lock_waiting(connection: AsyncConnection, address_indexes: Collection[int]) -> list[Deposit]:
    """What is kept below the minimum at these addresses, oldest first."""
    condition = "d.address_index = ANY(CAST(:ids AS bigint[])) AND d.state = 'below_minimum'"
    found = await _locked(connection, condition, address_indexes)
    return sorted(found, key=lambda d: (d.block.height, d.transfer.txid, d.transfer.log_index))


async def lock_unsolid(connection: AsyncConnection, height_max: int) -> list[Deposit]:
    """What was only seen, in blocks up to `height_max`."""
    sql = f"{_SELECT} WHERE d.state = 'confirming' AND d.block_height <= :height ORDER BY d.deposit_id FOR UPDATE OF d"
    return [_deposit(row) for row in (await run(connection, sql, height=height_max)).mappings()]


async def save_deposits(connection: AsyncConnection, deposits: Iterable[Deposit]) -> None:
    """Insert, or overwrite what the caller has locked."""
    rows = [_row(deposit) for deposit in deposits]
    if rows:
        await run(connection, _UPSERT, **_arrays(rows, _TYPES))


async def add_steps(connection: AsyncConnection, steps: Sequence[Step]) -> None:
    """To the timelines of locked or new deposits, in this order."""
    rows = [
        {
            "place": place,
            "deposit_id": step.deposit_id,
            "state": step.state,
            "actor": step.actor,
            "detail": step.detail,
            "at_ms": step.at_ms,
        }
        for place, step in enumerate(steps)
    ]
    if rows:
        await run(connection, _ADD_STEPS, **_arrays(rows, _STEP_TYPES))


async def add_received(connection: AsyncConnection, received: Mapping[int, Received]) -> None:
    """By index of the address."""
    rows = [
        {"index": index, "amount": got.amount_micro_usdt, "time_ms": got.block_time_ms}
        for index, got in received.items()
    ]
    if rows:
        await run(connection, _ADD_RECEIVED, **_arrays(rows, _RECEIVED_TYPES))


async def lock_overdue(
    connection: AsyncConnection, now_ms: int, first_ms: int, most_ms: int, limit: int
) -> list[Deposit]:
    """Entries that billing has not answered: `first_ms` after they were asked first, then twice as long each time, `most_ms` at most.

    Those that somebody else has locked are left for another time.
    """
    result = await run(connection, _OVERDUE, now_ms=now_ms, first_ms=first_ms, most_ms=most_ms, limit=limit)
    return [_deposit(row) for row in result.mappings()]


async def forget_booked(connection: AsyncConnection, deposit_ids: Collection[str]) -> int:
    """What billing has lost: it is asked again at once. How many."""
    done = await run(
        connection,
        "UPDATE deposits SET booked = false, asked_at_ms = 0, asked_times = 0"
        " WHERE deposit_id = ANY(CAST(:ids AS text[])) AND booked",
        ids=array(deposit_ids),
    )
    return done.rowcount


async def read_deposit(connection: AsyncConnection, deposit_id: str, account_id: str | None) -> Deposit | None:
    """Of that account; None: of any."""
    whose = "" if account_id is None else " AND d.account_id = :account_id"
    parameters = {} if account_id is None else {"account_id": account_id}
    result = await run(connection, f"{_SELECT} WHERE d.deposit_id = :id{whose}", id=deposit_id, **parameters)
    row = result.mappings().first()
    return None if row is None else _deposit(row)


async def list_deposits(connection: AsyncConnection, wanted: RecordFilter) -> list[Deposit]:
    """Newest first."""
    conditions, parameters = ["true"], dict[str, Any]()
    if wanted.account_id is not None:
        conditions.append("d.account_id = :account_id")
        parameters["account_id"] = wanted.account_id
    if wanted.order_id is not None:
        conditions.append("d.order_id = :order_id")
        parameters["order_id"] = wanted.order_id
    if wanted.states is not None:
        # Written out, they let the partial indexes be used; they are the code's own words.
        words = ", ".join(f"'{state}'" for state in sorted(wanted.states))
        conditions.append(f"d.state IN ({words})")
    if wanted.unsolid_from is not None:
        conditions.append("(d.state <> 'confirming' OR d.block_height >= :unsolid_from)")
        parameters["unsolid_from"] = wanted.unsolid_from
    if wanted.unsolid_below is not None:
        conditions.append("(d.state <> 'confirming' OR d.block_height < :unsolid_below)")
        parameters["unsolid_below"] = wanted.unsolid_below
    if wanted.before is not None:
        conditions.append("(d.block_time_ms, d.deposit_id) < (:before_ms, :before_id)")
        parameters["before_ms"], parameters["before_id"] = wanted.before
    sql = (
        f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY d.block_time_ms DESC, d.deposit_id DESC LIMIT :row_limit"
    )
    result = await run(connection, sql, row_limit=wanted.limit, **parameters)
    return [_deposit(row) for row in result.mappings()]


async def read_deposits(connection: AsyncConnection, condition: str, **parameters: object) -> list[Deposit]:
    """Of the table `d`, without a lock; for the store's own queries."""
    return [_deposit(row) for row in (await run(connection, f"{_SELECT} WHERE {condition}", **parameters)).mappings()]


async def read_steps(connection: AsyncConnection, deposit_ids: Collection[str]) -> dict[str, list[Step]]:
    """Timelines by deposit, oldest step first."""
    result = await run(
        connection,
        "SELECT deposit_id, state, actor, detail, at_ms FROM deposit_changes"
        " WHERE deposit_id = ANY(CAST(:ids AS text[])) ORDER BY deposit_id, number",
        ids=array(deposit_ids),
    )
    found: dict[str, list[Step]] = {}
    for row in result.mappings():
        found.setdefault(row["deposit_id"], []).append(Step(**row))
    return found


async def _locked(connection: AsyncConnection, condition: str, ids: Iterable[object]) -> list[Deposit]:
    sql = f"{_SELECT} WHERE {condition} ORDER BY d.deposit_id FOR UPDATE OF d"
    return [_deposit(row) for row in (await run(connection, sql, ids=array(ids))).mappings()]


def _arrays(rows: Sequence[Mapping[str, object]], types: Mapping[str, str]) -> dict[str, str]:
    return {column: array([row[column] for row in rows]) for column in types}


def _row(deposit: Deposit) -> dict[str, object]:
    transfer, block = deposit.transfer, deposit.block
    return {
        "txid": _bytea(transfer.txid),
        "log_index": transfer.log_index,
        "from_address": _bytea(transfer.sender),
        "amount_micro_usdt": transfer.amount_micro_usdt,
        "block_height": block.height,
        "block_id": _bytea(block.block_id),
        "block_time_ms": block.time_ms,
        **{column: getattr(deposit, column) for column in _TYPES if hasattr(deposit, column)},
    }


def _bytea(value: bytes) -> str:
    return f"\\x{value.hex()}"


def _deposit(row: RowMapping) -> Deposit:
    transfer = Transfer(
        txid=bytes(row["txid"]),
        log_index=row["log_index"],
        sender=bytes(row["from_address"]),
        recipient=bytes(row["to_address"]),
        amount_micro_usdt=int(row["amount_micro_usdt"]),
    )
    block = BlockRef(height=row["block_height"], block_id=bytes(row["block_id"]), time_ms=row["block_time_ms"])
    rest = {field: row[field] for field in Deposit.__struct_fields__ if field not in ("transfer", "block")}
    return Deposit(transfer=transfer, block=block, **rest)
