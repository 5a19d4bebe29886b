"""Counts for the metrics. Those that walk whole tables are asked for less often by who measures."""

from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from tt_common.db.rows import run


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """What the database holds now. `unbooked_since_ms`: when the oldest entry that billing hasn't booked was decided."""

    outbox: int
    unbooked_since_ms: int | None
    deposits: dict[str, int]


async def read_measures(connection: AsyncConnection) -> Measures:
    row: Any = (
        await run(
            connection,
            "SELECT (SELECT count(*) FROM outbox) AS outbox,"
            " (SELECT min(confirmed_at_ms) FROM deposits WHERE entry <> '' AND NOT booked) AS unbooked_since_ms",
        )
    ).one()
    states = await run(connection, "SELECT state, count(*) AS number FROM deposits GROUP BY state")
    return Measures(
        outbox=row.outbox,
        unbooked_since_ms=row.unbooked_since_ms,
        deposits={state.state: state.number for state in states},
    )
