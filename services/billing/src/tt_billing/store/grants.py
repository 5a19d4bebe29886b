"""Queries over grants and holds that find work for the sweeper and candidates for a recall."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from tt_billing.domain.records import OtherGrant
from tt_common.db.rows import run

SWEEP_MAX = 500


async def alive_grants(connection: AsyncConnection, accounts: Sequence[str]) -> list[OtherGrant]:
    """Open and lost grants of the accounts that have something in hand."""
    result = await run(
        connection,
        "SELECT g.grant_id, g.account_id, g.key_id, g.month, g.state, g.held_nanousd,"
        " g.held_nanousd + g.captured_nanousd + g.back_nanousd AS granted_nanousd, g.slice_concurrency, g.requests_all_used,"
        " CASE WHEN g.slice_window = k.window THEN g.slice_requests ELSE 0 END AS slice_requests,"
        " CASE WHEN g.slice_window = k.window THEN g.slice_tokens ELSE 0 END AS slice_tokens"
        " FROM grants g LEFT JOIN key_windows k USING (key_id)"
        " WHERE g.account_id = ANY(:accounts) AND g.state <> 'ended' AND g.state IN ('open', 'lost')",
        accounts=list(accounts),
    )
    return [OtherGrant(**row) for row in result.mappings()]


async def grant_accounts(connection: AsyncConnection, grant_ids: Sequence[str]) -> dict[str, str]:
    """Whose the grants are; that never changes, so no lock is needed."""
    result = await run(
        connection, "SELECT grant_id, account_id FROM grants WHERE grant_id = ANY(:ids)", ids=list(grant_ids)
    )
    return {row.grant_id: row.account_id for row in result}


async def silent_grants(connection: AsyncConnection) -> list[tuple[str, str]]:
    """Grants past their hard expiry, not yet lost: (grant_id, account_id)."""
    return await _rows(
        connection,
        "SELECT grant_id, account_id FROM grants WHERE state IN ('open', 'closing')"
        " AND expires_clock_ms <= (SELECT clock_ms FROM billing_clock) LIMIT :max",
    )


async def finished_lost_grants(
    connection: AsyncConnection, lost_grant_s: float, settled_seq: int, stream_last_seq: int
) -> list[tuple[str, str]]:
    """Lost grants whose time is over and whose events, if there were any in USAGE, are settled.

    A stream that was made anew (its last sequence is below the one remembered) holds nothing that could be waited for.
    """
    return await _rows(
        connection,
        "SELECT grant_id, account_id FROM grants WHERE state = 'lost'"
        " AND lost_clock_ms <= (SELECT clock_ms FROM billing_clock) - CAST(:lost_ms AS bigint)"
        " AND (lost_usage_seq <= :settled_seq OR lost_usage_seq > :last_seq) LIMIT :max",
        lost_ms=int(lost_grant_s * 1000),
        settled_seq=settled_seq,
        last_seq=stream_last_seq,
    )


async def doubt_grants(
    connection: AsyncConnection, usage_last_seq: int, end_after_s: float, lost_grant_s: float
) -> int:
    """Every grant that is not ended becomes lost, and ends `end_after_s` from now unless its edge is heard of. How many."""
    result = await run(
        connection,
        "UPDATE grants SET state = 'lost', lost_usage_seq = :last_seq,"
        " lost_clock_ms = (SELECT clock_ms FROM billing_clock) + CAST(:end_after_ms AS bigint) - CAST(:lost_ms AS bigint)"
        " WHERE state <> 'ended'",
        last_seq=usage_last_seq,
        end_after_ms=int(end_after_s * 1000),
        lost_ms=int(lost_grant_s * 1000),
    )
    return result.rowcount


async def grants_of_closed_epochs(connection: AsyncConnection) -> list[tuple[str, str]]:
    """Grants of epochs that are over and settled to their last event."""
    return await _rows(
        connection,
        "SELECT g.grant_id, g.account_id FROM grants g JOIN edge_epochs e USING (boot_epoch)"
        " WHERE g.state <> 'ended' AND e.closed AND e.watermark >= e.last_seq LIMIT :max",
    )


async def overdue_holds(connection: AsyncConnection) -> list[tuple[str, str]]:
    """Direct holds past their time: (hold_id, account_id)."""
    return await _rows(
        connection,
        "SELECT hold_id, account_id FROM holds WHERE state = 'open'"
        " AND expires_clock_ms <= (SELECT clock_ms FROM billing_clock) LIMIT :max",
    )


async def _rows(connection: AsyncConnection, sql: str, **parameters: Any) -> list[tuple[str, str]]:
    result = await run(connection, sql, max=SWEEP_MAX, **parameters)
    return [(row[0], row.account_id) for row in result]
