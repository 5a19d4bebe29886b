"""Counts for the metrics; small tables and partial indexes only, because they are asked for all the time."""

from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from tt_common.db.rows import run


class Measures(msgspec.Struct, frozen=True):
    """What the database holds now. `grants`: (number, nanoUSD held) by state. `reconciled_at_ms` is 0 before the first."""

    grants: dict[str, tuple[int, int]]
    outbox: int
    clock_ms: int
    reconciled_at_ms: int
    differences: int


async def read_measures(connection: AsyncConnection) -> Measures:
    grants = await run(
        connection,
        "SELECT state, count(*) AS number, sum(held_nanousd) AS held FROM grants WHERE state <> 'ended' GROUP BY state",
    )
    row: Any = (
        await run(
            connection,
            "SELECT (SELECT count(*) FROM outbox) AS outbox, (SELECT clock_ms FROM billing_clock) AS clock_ms,"
            " coalesce(r.made_at_ms, 0) AS made_at_ms,"
            " coalesce(jsonb_array_length(r.report -> 'differences'), 0) AS differences"
            " FROM (SELECT 1) AS one LEFT JOIN (SELECT made_at_ms, report FROM reconciliations ORDER BY id DESC LIMIT 1) AS r"
            " ON true",
        )
    ).one()
    return Measures(
        {grant.state: (int(grant.number), int(grant.held)) for grant in grants},
        int(row.outbox),
        int(row.clock_ms),
        int(row.made_at_ms),
        int(row.differences),
    )
