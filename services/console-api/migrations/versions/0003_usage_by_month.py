"""The usage read model by month: partitions of `usage`, an inbox that spans them, and a function that makes a month.

The runtime role can't make tables; it may call `make_usage_month`, which makes one thing only. What is there is kept.
"""

from alembic import op

from tt_common.db.migrations import runtime_role

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

EARLIEST_MS = 1_577_836_800_000  # 2020-01-01, `STARTED_MS_MIN` of the domain

TABLES = """
ALTER TABLE usage RENAME TO usage_whole;
ALTER INDEX usage_account RENAME TO usage_whole_account;
CREATE TABLE usage (LIKE usage_whole) PARTITION BY RANGE (started_at_ms);
ALTER TABLE usage ALTER COLUMN event_id TYPE uuid USING event_id::uuid;
CREATE INDEX usage_account ON usage (account_id, started_at_ms DESC, event_id DESC);
CREATE INDEX usage_key ON usage (account_id, key_id, started_at_ms DESC, event_id DESC);
CREATE INDEX usage_unsuccessful ON usage (account_id, started_at_ms DESC, event_id DESC) WHERE outcome <> 'succeeded';
CREATE TABLE usage_inbox (event_id uuid PRIMARY KEY);
"""

# Attached, not created as a partition: that would lock readers and writers of every month out for a moment.
FUNCTION = """
CREATE FUNCTION make_usage_month(started_at_ms bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    month timestamp := date_trunc('month', timestamp '1970-01-01' + started_at_ms * interval '1 millisecond');
    name text := 'usage_' || to_char(month, 'YYYY_MM');
    first_ms bigint := extract(epoch FROM month) * 1000;
    end_ms bigint := extract(epoch FROM month + interval '1 month') * 1000;
BEGIN
    IF to_regclass('public.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(7305103);
    IF to_regclass('public.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.usage)', name);
    EXECUTE format(
        'ALTER TABLE public.usage ATTACH PARTITION public.%I FOR VALUES FROM (%s) TO (%s)', name, first_ms, end_ms
    );
END
$$;
"""

# A month for every row of old, the nearest one that there is for times that no clock says.
MOVE = f"""
UPDATE usage_whole SET started_at_ms = {EARLIEST_MS} WHERE started_at_ms < {EARLIEST_MS};
SELECT make_usage_month(month_ms) FROM (
    SELECT min(started_at_ms) AS month_ms FROM usage_whole
    GROUP BY date_trunc('month', timestamp '1970-01-01' + started_at_ms * interval '1 millisecond')
) AS months;
INSERT INTO usage_inbox SELECT event_id::uuid FROM usage_whole;
DO $$
DECLARE
    names text := (
        SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute
        WHERE attrelid = 'usage_whole'::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'event_id'
    );
BEGIN
    EXECUTE format('INSERT INTO usage (event_id, %s) SELECT event_id::uuid, %s FROM usage_whole', names, names);
END
$$;
DROP TABLE usage_whole;
"""


def upgrade() -> None:
    for script in (TABLES, FUNCTION, MOVE):
        op.execute(script)
    role = runtime_role()
    op.execute(f"GRANT SELECT, INSERT, DELETE ON usage, usage_inbox TO {role}")
    op.execute("REVOKE EXECUTE ON FUNCTION make_usage_month FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION make_usage_month TO {role}")
