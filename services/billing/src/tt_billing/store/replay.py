"""Every projection as the ledger alone gives it, compared with the stored one. Reads one snapshot; changes nothing."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from tt_billing.domain.records import Difference
from tt_common.db.rows import run

DIFFERENCES_MAX: Final = 100


_WALLETS: Final = """
SELECT coalesce(w.account_id, l.account_id) AS what,
    coalesce(l.available, 0) || ' available, ' || coalesce(l.held, 0) || ' held' AS expected,
    coalesce(w.available_nanousd, 0) || ' available, ' || coalesce(w.held_nanousd, 0) || ' held' AS found
FROM wallets w FULL JOIN (
    SELECT account_id, coalesce(sum(amount_nanousd) FILTER (WHERE bucket = 'available'), 0) AS available,
        coalesce(sum(amount_nanousd) FILTER (WHERE bucket = 'held'), 0) AS held
    FROM postings GROUP BY account_id
) l USING (account_id)
WHERE (coalesce(w.available_nanousd, 0), coalesce(w.held_nanousd, 0))
    IS DISTINCT FROM (coalesce(l.available, 0), coalesce(l.held, 0))
ORDER BY 1 LIMIT :max"""

_GRANTS: Final = """
SELECT coalesce(g.grant_id, l.grant_id) AS what,
    coalesce(l.held, 0) || ' held, ' || coalesce(l.captured, 0) || ' captured' AS expected,
    coalesce(g.held_nanousd, 0) || ' held, ' || coalesce(g.captured_nanousd, 0) || ' captured' AS found
FROM grants g FULL JOIN (
    SELECT grant_id, sum(amount_nanousd * (CASE WHEN credit = 'held' THEN 1 WHEN debit = 'held' THEN -1 ELSE 0 END)) AS held,
        coalesce(sum(amount_nanousd) FILTER (WHERE debit = 'held' AND credit = 'revenue'), 0) AS captured
    FROM ledger WHERE grant_id IS NOT NULL GROUP BY grant_id
) l USING (grant_id)
WHERE (coalesce(g.held_nanousd, 0), coalesce(g.captured_nanousd, 0))
    IS DISTINCT FROM (coalesce(l.held, 0), coalesce(l.captured, 0))
ORDER BY 1 LIMIT :max"""

_HOLDS: Final = """
SELECT coalesce(h.hold_id, l.hold_id) AS what,
    coalesce(l.held, 0) || ' held, ' || coalesce(l.captured, 0) || ' captured' AS expected,
    coalesce(h.held, 0) || ' held, ' || coalesce(h.captured_nanousd, 0) || ' captured' AS found
FROM (
    SELECT hold_id, captured_nanousd, CASE WHEN state = 'open' THEN amount_nanousd ELSE 0 END AS held FROM holds
) h FULL JOIN (
    SELECT hold_id, sum(amount_nanousd * (CASE WHEN credit = 'held' THEN 1 WHEN debit = 'held' THEN -1 ELSE 0 END)) AS held,
        coalesce(sum(amount_nanousd) FILTER (WHERE credit = 'revenue'), 0) AS captured
    FROM ledger WHERE hold_id IS NOT NULL GROUP BY hold_id
) l USING (hold_id)
WHERE (coalesce(h.held, 0), coalesce(h.captured_nanousd, 0))
    IS DISTINCT FROM (coalesce(l.held, 0), coalesce(l.captured, 0))
ORDER BY 1 LIMIT :max"""

_KEY_MONTHS: Final = """
SELECT coalesce(k.key_id, l.key_id) || ' ' || coalesce(k.month, l.month) AS what,
    coalesce(l.spent, 0) || ' spent, ' || coalesce(l.held, 0) || ' held' AS expected,
    coalesce(k.spent_nanousd, 0) || ' spent, ' || coalesce(k.held_nanousd, 0) || ' held' AS found
FROM key_months k FULL JOIN (
    SELECT key_id, month, coalesce(sum(amount_nanousd) FILTER (WHERE credit = 'revenue'), 0) AS spent,
        sum(amount_nanousd * (CASE WHEN credit = 'held' THEN 1 WHEN debit = 'held' THEN -1 ELSE 0 END)) AS held
    FROM ledger WHERE key_id IS NOT NULL AND month IS NOT NULL GROUP BY key_id, month
) l USING (key_id, month)
WHERE (coalesce(k.spent_nanousd, 0), coalesce(k.held_nanousd, 0))
    IS DISTINCT FROM (coalesce(l.spent, 0), coalesce(l.held, 0))
ORDER BY 1 LIMIT :max"""

PROJECTIONS: Final = {"wallets": _WALLETS, "grants": _GRANTS, "holds": _HOLDS, "key_months": _KEY_MONTHS}


async def replay_differences(connection: AsyncConnection) -> list[Difference]:
    """Of all projections."""
    return [d for name, sql in PROJECTIONS.items() for d in await compare(connection, name, sql)]


async def compare(connection: AsyncConnection, check: str, sql: str, **parameters: int) -> list[Difference]:
    """Run one comparison: a query of (what, expected, found) with a limit `:max`."""
    result = await run(connection, sql, max=DIFFERENCES_MAX, **parameters)
    return [Difference(check, str(row.what), str(row.expected), str(row.found)) for row in result]


async def ledger_size(connection: AsyncConnection) -> int:
    return int((await run(connection, "SELECT count(*) FROM ledger")).scalar_one())
