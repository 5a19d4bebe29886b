"""The usage read model: one row a call, in partitions by month, and its hourly and daily sums, all in the transaction that adds the rows.

Invariant: an id enters the inbox once, whatever month its events name, and only what was new there is added and summed. Months are
made before the first row that needs one. One advisory lock keeps a rebuild and the consumers apart.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import Table, delete, func, select, text, tuple_
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from tt_common.db.rows import array, columns, copy_rows, run, unnest
from tt_console.domain.usage import DAY_MS, HOUR_MS, UsageRow, rollups
from tt_console.store.tables import ROLLUP_NUMBERS, usage, usage_daily, usage_hourly, usage_inbox

REBUILD_LOCK = 7_305_102
REBUILD_WAIT_MS = 2000

RollupStep = Literal["hourly", "daily"]
GroupBy = Literal["model", "key"]
_USAGE_TYPES: Final = {column.name: column.type.compile(postgresql.dialect()).lower() for column in usage.columns}
_ROLLUP_TYPES: Final = {
    column.name: column.type.compile(postgresql.dialect()).lower() for column in usage_daily.columns
}
_ROLLUP_TABLES: dict[RollupStep, Table] = {"hourly": usage_hourly, "daily": usage_daily}

_ENTER_INBOX: Final = (
    "INSERT INTO usage_inbox SELECT unnest(CAST(:ids AS uuid[])) ON CONFLICT DO NOTHING RETURNING event_id"
)
_MAKE_MONTHS: Final = "SELECT make_usage_month(time_ms) FROM unnest(CAST(:times AS bigint[])) AS t (time_ms)"
_ADD_UP: Final = {
    table.name: (
        f"INSERT INTO {table.name} AS sums ({', '.join(_ROLLUP_TYPES)})"
        f" SELECT {', '.join(_ROLLUP_TYPES)} FROM {unnest(_ROLLUP_TYPES)}"
        " ON CONFLICT (account_id, start_ms, key_id, model) DO UPDATE SET "
        + ", ".join(f"{name} = sums.{name} + excluded.{name}" for name in ROLLUP_NUMBERS)
    )
    for table in _ROLLUP_TABLES.values()
}


@dataclass(frozen=True, kw_only=True)
class UsageFilter:
    """What to show of one account; times in Unix ms, `to_ms` is exclusive."""

    account_id: str
    from_ms: int | None = None
    to_ms: int | None = None
    key_id: str | None = None
    model: str | None = None
    outcome: str | None = None


class UsageStore:
    """Fulfils `usecases.ports.UsageLog` on the caller's transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, rows: Sequence[UsageRow]) -> int:
        if not rows:
            return 0
        unique = {row.event_id: row for row in reversed(rows)}
        await self.make_months([row.started_at_ms for row in rows])
        # Sorted, so that two batches with common events can't deadlock.
        result = await run(self._connection, _ENTER_INBOX, ids=array(sorted(unique)))
        new = [unique[event_id] for event_id in result.scalars()]
        if new:
            await copy_rows(self._connection, "usage", _USAGE_TYPES, new)
            await self._add_up(usage_hourly, new, HOUR_MS)
            await self._add_up(usage_daily, new, DAY_MS)
        return len(new)

    async def make_months(self, times_ms: Iterable[int]) -> None:
        """Partitions for these times (Unix ms), where they are missing."""
        days = {time_ms // DAY_MS: time_ms for time_ms in times_ms}
        await run(self._connection, _MAKE_MONTHS, times=array(sorted(days.values())))

    async def clear(self) -> None:
        # DELETE and not TRUNCATE: readers see the old rows until the rebuild commits.
        await self._connection.execute(text("SET LOCAL statement_timeout = 0"))
        await self._connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '60s'"))
        for table in (usage, usage_inbox, usage_hourly, usage_daily):
            await self._connection.execute(delete(table))

    async def share_with_rebuild(self) -> None:
        await self._connection.execute(text(f"SET LOCAL lock_timeout = {REBUILD_WAIT_MS}"))
        await self._connection.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": REBUILD_LOCK})

    async def keep_others_out(self) -> None:
        await self._connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": REBUILD_LOCK})

    async def _add_up(self, table: Table, rows: Sequence[UsageRow], step_ms: int) -> None:
        sums = rollups(rows, step_ms)
        await run(self._connection, _ADD_UP[table.name], **columns(sums, _ROLLUP_TYPES))


async def list_usage(
    connection: AsyncConnection, wanted: UsageFilter, limit: int, before: tuple[int, UUID] | None
) -> list[UsageRow]:
    """Calls newest first; `before` is (started_at_ms, event_id) of the last one on the page before."""
    order = (usage.c.started_at_ms, usage.c.event_id)
    query = select(usage).where(*_conditions(wanted))
    if before is not None:
        # The first condition is for the choice of partitions, which looks at no pairs.
        query = query.where(usage.c.started_at_ms <= before[0], tuple_(*order) < tuple_(*before))
    query = query.order_by(*(column.desc() for column in order)).limit(limit)
    return [UsageRow(**dict(row)) for row in (await connection.execute(query)).mappings()]


async def list_rollups(
    connection: AsyncConnection, step: RollupStep, wanted: UsageFilter, group_by: GroupBy | None, limit: int
) -> list[dict[str, Any]]:
    """Sums by start (and model or key), oldest first."""
    table = _ROLLUP_TABLES[step]
    group: list[Any] = [table.c.start_ms]
    if group_by is not None:
        group.append(table.c.model if group_by == "model" else table.c.key_id)
    # SUM of bigint is numeric in PostgreSQL; the totals are whole numbers.
    sums = [func.sum(table.c[name]).label(name) for name in ROLLUP_NUMBERS]
    query = select(*group, *sums).where(table.c.account_id == wanted.account_id)
    if wanted.from_ms is not None:
        query = query.where(table.c.start_ms >= wanted.from_ms)
    if wanted.to_ms is not None:
        query = query.where(table.c.start_ms < wanted.to_ms)
    if wanted.key_id is not None:
        query = query.where(table.c.key_id == wanted.key_id)
    if wanted.model is not None:
        query = query.where(table.c.model == wanted.model)
    query = query.group_by(*group).order_by(*group).limit(limit)
    rows = [dict(row) for row in (await connection.execute(query)).mappings()]
    return [{**row, **{name: int(row[name]) for name in ROLLUP_NUMBERS}} for row in rows]


def _conditions(wanted: UsageFilter) -> list[Any]:
    conditions: list[Any] = [usage.c.account_id == wanted.account_id]
    if wanted.from_ms is not None:
        conditions.append(usage.c.started_at_ms >= wanted.from_ms)
    if wanted.to_ms is not None:
        conditions.append(usage.c.started_at_ms < wanted.to_ms)
    for name in ("key_id", "model", "outcome"):
        value = getattr(wanted, name)
        if value is not None:
            conditions.append(usage.c[name] == value)
    if wanted.outcome not in (None, "succeeded"):
        # Implied, but only said like this it lets PostgreSQL use the index of what did not succeed.
        conditions.append(text("outcome <> 'succeeded'"))
    return conditions
