"""A usage read model of a year, written by PostgreSQL itself from a seed: the same rows every time, straight into the tables.

Accounts differ as real ones do: the biggest of the 2,000 has 8 % of all calls, half of the accounts have a fifth of them together.
Hourly sums are left out: nothing that is measured reads them.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import psycopg

from tt_console.domain.usage import DAY_MS
from tt_console.store.tables import ROLLUP_NUMBERS

ACCOUNTS: Final = 2_000
BIG_ACCOUNTS: Final = 4
CONNECTIONS: Final = 2
SEED: Final = 7
YEAR_MS: Final = 1_767_225_600_000  # 2026-01-01
MONTH_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
MONTH_PARAMS: Final = {"from": "2026-06-01T00:00:00Z", "to": "2026-07-01T00:00:00Z"}

_CALLS: Final = """
INSERT INTO usage
SELECT (lpad(to_hex(started_ms), 12, '0') || '7' || left(noise, 3) || '8' || substr(noise, 4, 15))::uuid,
       account_ids[1 + floor({accounts} * power(a, 3))::int], 'key_' || floor(8 * b * b)::int, 'model-' || floor(8 * power(c, 4))::int,
       'sandbox', CASE WHEN d < 0.97 THEN 'succeeded' ELSE 'failed' END, CASE WHEN d < 0.97 THEN 200 ELSE 502 END,
       '/v1/chat/completions', 'openai', d < 0.5, floor(4000 * b)::int, 0, 0, floor(800 * c)::int, 0, 0, 0, 0,
       floor(1000000 * b)::int, 'model@1', 'provider', '', started_ms, started_ms + 900, 200
FROM (
    SELECT %(first_ms)s + n * %(length_ms)s / %(rows)s AS started_ms, md5(n::text || %(first_ms)s) AS noise,
           {noise}
    FROM generate_series(0, %(rows)s::bigint - 1) AS n
) AS calls, (SELECT %(accounts)s::text[] AS account_ids) AS accounts
""".format(
    accounts=ACCOUNTS,
    noise=", ".join(
        f"(hashint8extended(n + %(first_ms)s, {SEED + number}) & 2147483647) / 2147483648.0::float8 AS {name}"
        for number, name in enumerate("abcd")
    ),
)
_DAILY: Final = f"""
INSERT INTO usage_daily (account_id, start_ms, key_id, model, {", ".join(ROLLUP_NUMBERS)})
SELECT account_id, started_at_ms / {DAY_MS} * {DAY_MS} AS day, key_id, model, count(*), count(*) FILTER (WHERE outcome <> 'succeeded'),
       sum(input_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(output_tokens), sum(images), sum(cost_nanousd)
FROM usage WHERE started_at_ms >= %(first_ms)s AND started_at_ms < %(first_ms)s + %(length_ms)s GROUP BY 1, day, 3, 4
"""


def is_filled(owner_url: str) -> bool:
    """Whether an earlier run has been here."""
    with psycopg.connect(owner_url) as connection:
        return connection.execute("SELECT FROM usage LIMIT 1").fetchone() is not None


def fill(owner_url: str, rows: int, customers: Sequence[str]) -> None:
    """`rows` calls over the year. Some of `customers` are the biggest accounts, the others are spread over the rest."""
    accounts = [f"acc_{number:032x}" for number in range(ACCOUNTS)]
    step = ACCOUNTS // len(customers)
    for number, account_id in enumerate(customers):
        accounts[number if number < BIG_ACCOUNTS else number * step] = account_id
    months: list[dict[str, object]] = []
    first_ms = YEAR_MS
    for days in MONTH_DAYS:
        length_ms = days * DAY_MS
        months.append({"first_ms": first_ms, "length_ms": length_ms, "rows": rows // 12, "accounts": accounts})
        first_ms += length_ms
    with psycopg.connect(owner_url, autocommit=True) as connection:
        found = connection.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'usage'").fetchall()
        for name, _ in found:
            connection.execute(f"DROP INDEX {name}".encode())
        for month in months:
            connection.execute("SELECT make_usage_month(%s)", (month["first_ms"],))
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(lambda month: _fill_month(owner_url, month), months))
        connection.execute("SET maintenance_work_mem = '512MB'")
        for _, definition in found:
            connection.execute(definition.replace(" ON ONLY ", " ON ").encode())
        connection.execute("INSERT INTO usage_inbox SELECT event_id FROM usage")
        connection.execute("VACUUM ANALYZE usage, usage_daily, usage_inbox")


def _fill_month(owner_url: str, month: dict[str, object]) -> None:
    with psycopg.connect(owner_url) as connection:
        connection.execute("SET LOCAL synchronous_commit = off")
        connection.execute("SET LOCAL work_mem = '256MB'")
        connection.execute(_CALLS.encode(), month)
        connection.execute(_DAILY.encode(), month)
