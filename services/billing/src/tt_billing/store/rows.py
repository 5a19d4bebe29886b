"""Wide statements: many rows in one round trip, as arrays that PostgreSQL unnests."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import CursorResult, text
from sqlalchemy.ext.asyncio import AsyncConnection


def unnest(types: Mapping[str, str]) -> str:
    """`unnest(…) AS r (…)` over one array parameter a column; `types` maps column to PostgreSQL type."""
    arrays = ", ".join(f"CAST(:{column} AS {kind}[])" for column, kind in types.items())
    return f"unnest({arrays}) AS r ({', '.join(quoted(column) for column in types)})"


def quoted(column: str) -> str:
    """`window` is a word of SQL."""
    return f'"{column}"'


def insert_sql(table: str, types: Mapping[str, str]) -> str:
    """INSERT of arrays into columns of the same names; a suffix such as ON CONFLICT may be appended."""
    names = ", ".join(quoted(column) for column in types)
    return f"INSERT INTO {table} ({names}) SELECT {names} FROM {unnest(types)}"


def upsert_sql(table: str, types: Mapping[str, str], key: str) -> str:
    """INSERT of arrays that overwrites every other column of rows that exist."""
    updates = ", ".join(f"{quoted(c)} = excluded.{quoted(c)}" for c in types if c != key)
    return f"{insert_sql(table, types)} ON CONFLICT ({key}) DO UPDATE SET {updates}"


def columns(rows: Sequence[msgspec.Struct], types: Mapping[str, str]) -> dict[str, list[Any]]:
    """The parameters of such a statement; json columns are encoded."""
    parameters = {column: [getattr(row, column) for row in rows] for column in types}
    for column, kind in types.items():
        if kind == "jsonb":
            parameters[column] = [json.dumps(value) for value in parameters[column]]
    return parameters


async def run(connection: AsyncConnection, sql: str, **parameters: Any) -> CursorResult[Any]:
    """Execute textual SQL with named parameters."""
    return await connection.execute(text(sql), parameters)
