"""What must agree with what: the comparisons of the reconciliation, as queries of (what, expected, found).

They change nothing.
"""

from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from tt_billing.domain.records import Difference
from tt_billing.store.replay import compare, replay_differences
from tt_common.db.rows import run

_TRANSFERS: Final = """
SELECT 'seq ' || seq AS what, 'a known kind of transfer' AS expected, kind || ': ' || debit || ' to ' || credit AS found
FROM ledger WHERE (kind, debit, credit) NOT IN (
    ('adjustment', 'adjustments', 'available'), ('adjustment', 'available', 'adjustments'),
    ('deposit', 'receipts', 'available'), ('deposit', 'available', 'receipts'),
    ('deposit_credited', 'receipts', 'available'), ('deposit_suspended', 'receipts', 'suspense'),
    ('deposit_assigned', 'suspense', 'available'),
    ('grant_opened', 'available', 'held'), ('grant_extended', 'available', 'held'),
    ('grant_shrunk', 'held', 'available'), ('grant_ended', 'held', 'available'),
    ('usage', 'held', 'revenue'), ('usage', 'available', 'revenue'),
    ('hold_placed', 'available', 'held'), ('hold_captured', 'held', 'revenue'), ('hold_captured', 'held', 'available'),
    ('hold_released', 'held', 'available'), ('hold_expired', 'held', 'available'))
ORDER BY seq LIMIT :max"""

_TRANSACTIONS: Final = """
SELECT 'transaction ' || transaction_id AS what, 0 AS expected, sum(amount_nanousd) AS found
FROM postings GROUP BY transaction_id HAVING sum(amount_nanousd) <> 0 LIMIT :max"""

_HELD: Final = """
SELECT w.account_id AS what, coalesce(g.held, 0) + coalesce(h.held, 0) AS expected, w.held_nanousd AS found
FROM wallets w
LEFT JOIN (SELECT account_id, sum(held_nanousd) AS held FROM grants WHERE state <> 'ended' GROUP BY account_id) g
    USING (account_id)
LEFT JOIN (SELECT account_id, sum(amount_nanousd) AS held FROM holds WHERE state = 'open' GROUP BY account_id) h
    USING (account_id)
WHERE w.held_nanousd <> coalesce(g.held, 0) + coalesce(h.held, 0) ORDER BY 1 LIMIT :max"""

_RESIDUE: Final = """
SELECT grant_id AS what, 0 AS expected, held_nanousd AS found FROM grants WHERE state = 'ended' AND held_nanousd <> 0
ORDER BY 1 LIMIT :max"""

_COST_CHARGED: Final = """
SELECT 'event ' || id AS what, cost_nanousd AS expected, charged_nanousd AS found
FROM usage_events WHERE flags = '' AND cost_nanousd <> charged_nanousd ORDER BY position LIMIT :max"""

_REVENUE: Final = """
SELECT coalesce(u.day, l.day) || ' ' || coalesce(u.price_version, l.price_version) AS what,
    coalesce(u.charged, 0) AS expected, coalesce(l.revenue, 0) AS found
FROM (
    SELECT booked_at_ms / 86400000 AS day, price_version, sum(charged_nanousd) AS charged
    FROM usage_events WHERE charged_nanousd <> 0 GROUP BY 1, 2
) u FULL JOIN (
    SELECT booked_at_ms / 86400000 AS day, price_version, sum(amount_nanousd) AS revenue
    FROM ledger WHERE source = 'usage' AND credit = 'revenue' GROUP BY 1, 2
) l USING (day, price_version)
WHERE coalesce(u.charged, 0) <> coalesce(l.revenue, 0) LIMIT :max"""

_GAPS: Final = """
SELECT e.edge_id || ' ' || e.boot_epoch AS what, 'event ' || e.watermark + 1 AS expected, 'missing' AS found
FROM edge_epochs e WHERE NOT EXISTS (
        SELECT 1 FROM known_sequences k WHERE k.boot_epoch = e.boot_epoch AND k.edge_seq = e.watermark + 1)
    AND EXISTS (SELECT 1 FROM usage_events u WHERE u.boot_epoch = e.boot_epoch AND u.edge_seq > e.watermark
        AND u.booked_at_ms < CAST(:now_ms AS bigint) - 60000)
ORDER BY 1 LIMIT :max"""

_EPOCH_SUMS: Final = """
SELECT e.edge_id || ' ' || e.boot_epoch AS what, e.cost_nanousd AS expected, s.cost AS found
FROM edge_epochs e CROSS JOIN LATERAL (
    SELECT coalesce(sum(cost_nanousd), 0) AS cost FROM (
        SELECT cost_nanousd FROM usage_events u WHERE u.boot_epoch = e.boot_epoch
        UNION ALL SELECT cost_nanousd FROM epoch_twins t WHERE t.boot_epoch = e.boot_epoch) AS costs
) s
WHERE e.closed AND e.watermark >= e.last_seq AND s.cost <> e.cost_nanousd
    AND NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.boot_epoch = e.boot_epoch)
    AND NOT EXISTS (SELECT 1 FROM written_off w WHERE w.boot_epoch = e.boot_epoch)
ORDER BY 1 LIMIT :max"""

_DEPOSIT_AMOUNTS: Final = """
SELECT 'deposit ' || source_id AS what, CAST(details ->> 'amount_micro_usdt' AS numeric) * 1000 AS expected,
    amount_nanousd AS found
FROM ledger WHERE source = 'deposit' AND amount_nanousd <> CAST(details ->> 'amount_micro_usdt' AS numeric) * 1000
ORDER BY seq LIMIT :max"""

_DEPOSIT_TRANSFERS: Final = """
SELECT concat_ws(' ', details ->> 'network', details ->> 'txid', details ->> 'log_index') AS what,
    'one entry' AS expected, string_agg(source_id, ', ' ORDER BY seq) AS found
FROM ledger WHERE source = 'deposit' AND kind <> 'deposit_assigned'
GROUP BY details ->> 'network', details ->> 'txid', details ->> 'log_index' HAVING count(*) > 1 ORDER BY 1 LIMIT :max"""

_ASSIGNED: Final = """
SELECT 'deposit ' || a.source_id AS what, a.amount_nanousd || ' suspended before' AS expected,
    coalesce(CAST(s.amount_nanousd AS text), 'none') AS found
FROM ledger a LEFT JOIN ledger s ON s.source = 'deposit' AND s.source_id = a.details ->> 'deposit_id'
    AND s.kind = 'deposit_suspended' AND s.seq < a.seq
WHERE a.source = 'deposit' AND a.kind = 'deposit_assigned' AND s.amount_nanousd IS DISTINCT FROM a.amount_nanousd
ORDER BY a.seq LIMIT :max"""

_SUSPENSE: Final = """
SELECT 'suspense' AS what, d.waiting AS expected, p.balance AS found
FROM (
    SELECT coalesce(sum(s.amount_nanousd), 0) AS waiting FROM ledger s
    WHERE s.source = 'deposit' AND s.kind = 'deposit_suspended' AND NOT EXISTS (
        SELECT 1 FROM ledger a
        WHERE a.source = 'deposit' AND a.kind = 'deposit_assigned' AND a.details ->> 'deposit_id' = s.source_id)
) d, (
    SELECT coalesce(sum(CASE WHEN credit = 'suspense' THEN amount_nanousd ELSE -amount_nanousd END), 0) AS balance
    FROM ledger WHERE 'suspense' IN (debit, credit)
) p
WHERE d.waiting <> p.balance LIMIT :max"""

_RECEIPTS: Final = """
SELECT 'receipts' AS what, d.deposited + m.deposited AS expected, p.balance AS found
FROM (
    SELECT coalesce(sum(amount_nanousd), 0) AS deposited FROM ledger
    WHERE source = 'deposit' AND kind IN ('deposit_credited', 'deposit_suspended')
) d, (
    SELECT coalesce(sum(CASE WHEN credit = 'available' THEN amount_nanousd ELSE -amount_nanousd END), 0) AS deposited
    FROM ledger WHERE source = 'adjust' AND kind = 'deposit'
) m, (
    SELECT coalesce(sum(CASE WHEN debit = 'receipts' THEN amount_nanousd ELSE -amount_nanousd END), 0) AS balance
    FROM ledger WHERE 'receipts' IN (debit, credit)
) p
WHERE d.deposited + m.deposited <> p.balance LIMIT :max"""

CHECKS: Final = {
    "transfers are well formed": _TRANSFERS,
    "transactions sum to zero": _TRANSACTIONS,
    "held is open grants and holds": _HELD,
    "ended grants have no residue": _RESIDUE,
    "events are charged what they cost": _COST_CHARGED,
    "charges are revenue, by day and price": _REVENUE,
    "closed epochs cost what the edge says": _EPOCH_SUMS,
    "deposits are booked at what arrived": _DEPOSIT_AMOUNTS,
    "a transfer on the chain is booked once": _DEPOSIT_TRANSFERS,
    "assigned deposits were in suspense": _ASSIGNED,
    "suspense is what is suspended and not assigned": _SUSPENSE,
    "receipts are the deposits": _RECEIPTS,
}
GAP_CHECK: Final = "no event is missing"
REPLAY_CHECK: Final = "replay gives the stored projections"


async def reconcile_differences(connection: AsyncConnection, now_ms: int) -> tuple[tuple[str, ...], list[Difference]]:
    """Every check that is a query: (the names of the checks, what they found)."""
    found = [
        msgspec.structs.replace(d, check=REPLAY_CHECK, what=f"{d.check} {d.what}")
        for d in await replay_differences(connection)
    ]
    for name, sql in CHECKS.items():
        found += await compare(connection, name, sql)
    found += await compare(connection, GAP_CHECK, _GAPS, now_ms=now_ms)
    return (REPLAY_CHECK, *CHECKS, GAP_CHECK), found


async def save_report(connection: AsyncConnection, clean: bool, report: str, now_ms: int) -> None:
    await run(
        connection,
        "INSERT INTO reconciliations (clean, report, made_at_ms) VALUES (:clean, CAST(:report AS jsonb), :now)",
        clean=clean,
        report=report,
        now=now_ms,
    )


async def last_rated_position(connection: AsyncConnection) -> int:
    """How far the last clean reconciliation had rated events again."""
    row: Any = (
        await run(
            connection,
            "SELECT CAST(report ->> 'rated_to_position' AS bigint) AS position FROM reconciliations WHERE clean ORDER BY id DESC LIMIT 1",
        )
    ).first()
    return 0 if row is None else int(row.position)
