"""Wide statements: many rows in one round trip, as arrays that PostgreSQL unnests, or as a binary COPY; and several statements in one.

Arrays travel as PostgreSQL's own array literals: psycopg adapts lists element by element, which costs more than the statement.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_dumps
from sqlalchemy import CursorResult, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

STATEMENTS_MAX: Final = 512

Statement = tuple[str, Mapping[str, Any]]
"""Textual SQL and its named parameters."""

_PARAMETER: Final = re.compile(r"(?<!:):([a-z_]+)")


def unnest(types: Mapping[str, str]) -> str:
    """`unnest(…) AS r (…)` over one array parameter a column; `types` maps column to PostgreSQL type."""
    arrays = ", ".join(f"CAST(:{column} AS {kind}[])" for column, kind in types.items())
    return f"unnest({arrays}) AS r ({', '.join(quoted(column) for column in types)})"


def quoted(column: str) -> str:
    """`window` is a word of SQL."""
    return f'"{column}"'


def upsert_sql(table: str, types: Mapping[str, str], key: str) -> str:
    """INSERT of arrays into columns of the same names that overwrites every other column of rows that exist."""
    names = ", ".join(quoted(column) for column in types)
    updates = ", ".join(f"{quoted(c)} = excluded.{quoted(c)}" for c in types if c != key)
    return (
        f"INSERT INTO {table} ({names}) SELECT {names} FROM {unnest(types)} ON CONFLICT ({key}) DO UPDATE SET {updates}"
    )


def columns(rows: Sequence[msgspec.Struct], types: Mapping[str, str]) -> dict[str, str]:
    """The parameters of such a statement: an array literal a column."""
    return {column: array([getattr(row, column) for row in rows]) for column in types}


def array(values: Iterable[object]) -> str:
    """A PostgreSQL array literal of texts, integers, booleans, UUIDs or None, for `CAST(:parameter AS type[])`."""
    return f"{{{','.join([_element(value) for value in values])}}}"


def _element(value: object) -> str:
    if value is None:
        return "NULL"
    if type(value) is not str:
        return str(value)
    if '"' in value or "\\" in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'


async def copy_rows(
    connection: AsyncConnection, table: str, types: Mapping[str, str], rows: Iterable[msgspec.Struct]
) -> None:
    """Append rows, whose fields are the columns of `types` in that order. Raises psycopg.Error."""
    driver = await _driver_of(connection)
    async with driver.cursor() as cursor:
        set_json_dumps(msgspec.json.encode, cursor)
        async with cursor.copy(_copy_sql(table, tuple(types))) as copy:
            copy.set_types(list(types.values()))
            for row in rows:
                await copy.write_row(msgspec.structs.astuple(row))


@lru_cache(STATEMENTS_MAX)
def _copy_sql(table: str, names: tuple[str, ...]) -> bytes:
    return f"COPY {table} ({', '.join(quoted(name) for name in names)}) FROM STDIN (FORMAT BINARY)".encode()


async def run_together(connection: AsyncConnection, *statements: Statement) -> list[list[DictRow]]:
    """The rows of each, in one round trip: every trip costs more than most statements. Raises psycopg.Error.

    They run in order, each with a snapshot of its own, so a read after a lock sees what the lock waited for.
    """
    driver = await _driver_of(connection)
    cursors = [driver.cursor(row_factory=dict_row) for _ in statements]
    async with driver.pipeline():
        for cursor, (sql, parameters) in zip(cursors, statements, strict=True):
            await cursor.execute(_driver_sql(sql), parameters)
    return [await cursor.fetchall() if cursor.description else [] for cursor in cursors]


async def _driver_of(connection: AsyncConnection) -> psycopg.AsyncConnection[Any]:
    if not connection.in_transaction():
        await connection.begin()  # as its own first statement would: without it a commit does nothing
    driver: psycopg.AsyncConnection[Any] | None = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    return driver


@lru_cache(STATEMENTS_MAX)
def _driver_sql(sql: str) -> bytes:
    return _PARAMETER.sub(r"%(\1)s", sql.replace("%", "%%")).encode()


@lru_cache(STATEMENTS_MAX)
def _statement(sql: str) -> TextClause:
    return text(sql)


async def run(connection: AsyncConnection, sql: str, **parameters: Any) -> CursorResult[Any]:
    """Execute textual SQL with named parameters."""
    return await connection.execute(_statement(sql), parameters)
