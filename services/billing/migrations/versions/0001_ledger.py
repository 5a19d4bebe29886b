"""The ledger, its projections, the usage record, prices, and what the runtime role may do with them.

The log (ledger, usage_events, epoch_twins) can be read and appended to, never changed, by the role that the service
runs as.
"""

from alembic import op

from tt_common.db.migrations import runtime_role

revision = "0001"
down_revision = None

LOG = """
CREATE TABLE ledger (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction_id uuid NOT NULL,
    leg smallint NOT NULL,
    kind text NOT NULL,
    account_id text NOT NULL,
    debit text NOT NULL,
    credit text NOT NULL,
    amount_nanousd bigint NOT NULL CHECK (amount_nanousd > 0),
    source text NOT NULL,
    source_id text NOT NULL,
    grant_id text,
    hold_id text,
    key_id text,
    month text,
    price_version text,
    details jsonb NOT NULL,
    occurred_at_ms bigint NOT NULL,
    booked_at_ms bigint NOT NULL,
    CHECK (debit <> credit),
    CHECK (debit IN ('available', 'held', 'revenue', 'receipts', 'adjustments', 'suspense')),
    CHECK (credit IN ('available', 'held', 'revenue', 'receipts', 'adjustments', 'suspense')),
    UNIQUE (source, source_id, leg)
);
CREATE INDEX ledger_by_account ON ledger (account_id, seq);
CREATE VIEW postings AS
    SELECT seq, transaction_id, account_id, debit AS bucket, -amount_nanousd AS amount_nanousd, booked_at_ms FROM ledger
    UNION ALL
    SELECT seq, transaction_id, account_id, credit AS bucket, amount_nanousd, booked_at_ms FROM ledger;

CREATE TABLE usage_events (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    account_id text NOT NULL,
    key_id text NOT NULL,
    grant_id text NOT NULL,
    edge_id text NOT NULL,
    boot_epoch text NOT NULL,
    edge_seq bigint NOT NULL,
    model text NOT NULL,
    outcome text NOT NULL,
    month text NOT NULL,
    cost_nanousd bigint NOT NULL,
    charged_nanousd bigint NOT NULL,
    price_version text NOT NULL,
    flags text NOT NULL,
    event bytea NOT NULL,
    booked_at_ms bigint NOT NULL,
    UNIQUE (boot_epoch, edge_seq)
);

CREATE TABLE epoch_twins (
    boot_epoch text NOT NULL,
    edge_seq bigint NOT NULL,
    id uuid NOT NULL,
    grant_id text NOT NULL,
    cost_nanousd bigint NOT NULL,
    booked_at_ms bigint NOT NULL,
    PRIMARY KEY (boot_epoch, edge_seq)
);
"""

PROJECTIONS = """
CREATE TABLE wallets (
    account_id text PRIMARY KEY,
    available_nanousd bigint NOT NULL DEFAULT 0,
    held_nanousd bigint NOT NULL DEFAULT 0 CHECK (held_nanousd >= 0),
    overdraft_nanousd bigint NOT NULL DEFAULT 0 CHECK (overdraft_nanousd >= 0),
    low_balance_nanousd bigint,
    low_notified boolean NOT NULL DEFAULT false
);

CREATE TABLE grants (
    grant_id text PRIMARY KEY,
    account_id text NOT NULL,
    key_id text NOT NULL,
    edge_id text NOT NULL,
    boot_epoch text NOT NULL,
    month text NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'closing', 'lost', 'ended')),
    revision bigint NOT NULL,
    held_nanousd bigint NOT NULL CHECK (held_nanousd >= 0),
    captured_nanousd bigint NOT NULL CHECK (captured_nanousd >= 0),
    settled_events bigint NOT NULL,
    final_events bigint,
    slice_window bigint NOT NULL,
    slice_requests bigint NOT NULL,
    slice_tokens bigint NOT NULL,
    slice_concurrency bigint NOT NULL,
    back_nanousd bigint NOT NULL CHECK (back_nanousd >= 0),
    back_requests bigint NOT NULL,
    back_tokens bigint NOT NULL,
    back_concurrency bigint NOT NULL,
    requests_all_used boolean NOT NULL,
    expires_clock_ms bigint NOT NULL,
    lost_clock_ms bigint,
    lost_usage_seq bigint,
    opened_at_ms bigint NOT NULL
);
CREATE INDEX grants_alive_by_account ON grants (account_id) WHERE state <> 'ended';
CREATE INDEX grants_alive_by_epoch ON grants (boot_epoch) WHERE state <> 'ended';
CREATE INDEX grants_alive_by_expiry ON grants (expires_clock_ms) WHERE state IN ('open', 'closing');
CREATE INDEX grants_lost ON grants (lost_clock_ms) WHERE state = 'lost';

CREATE TABLE holds (
    hold_id text PRIMARY KEY,
    account_id text NOT NULL,
    key_id text NOT NULL,
    month text NOT NULL,
    amount_nanousd bigint NOT NULL CHECK (amount_nanousd > 0),
    captured_nanousd bigint NOT NULL CHECK (captured_nanousd BETWEEN 0 AND amount_nanousd),
    state text NOT NULL CHECK (state IN ('open', 'captured', 'released', 'expired')),
    reason text NOT NULL,
    ttl_s bigint NOT NULL,
    expires_clock_ms bigint NOT NULL,
    placed_at_ms bigint NOT NULL
);
CREATE INDEX holds_open ON holds (expires_clock_ms) WHERE state = 'open';

CREATE TABLE key_months (
    key_id text NOT NULL,
    month text NOT NULL,
    spent_nanousd bigint NOT NULL,
    held_nanousd bigint NOT NULL,
    PRIMARY KEY (key_id, month)
);

CREATE TABLE key_windows (
    key_id text PRIMARY KEY,
    account_id text NOT NULL,
    revision bigint NOT NULL,
    monthly_limit_nanousd bigint,
    requests_per_minute bigint,
    tokens_per_minute bigint,
    concurrency bigint,
    "window" bigint NOT NULL,
    started_ms bigint NOT NULL,
    requests_out bigint NOT NULL,
    tokens_out bigint NOT NULL,
    concurrency_out bigint NOT NULL
);
"""

BOOKKEEPING = """
CREATE TABLE prices (
    version text PRIMARY KEY,
    model text NOT NULL,
    number bigint NOT NULL,
    price jsonb NOT NULL,
    actor text NOT NULL,
    starts_at_ms bigint NOT NULL,
    created_at_ms bigint NOT NULL,
    UNIQUE (model, number)
);
CREATE TABLE price_records (
    model text PRIMARY KEY,
    revision bigint NOT NULL
);

CREATE TABLE edge_epochs (
    boot_epoch text PRIMARY KEY,
    edge_id text NOT NULL,
    watermark bigint NOT NULL DEFAULT 0,
    last_seq bigint NOT NULL DEFAULT 0,
    cost_nanousd bigint NOT NULL DEFAULT 0,
    closed boolean NOT NULL DEFAULT false,
    seen_at_ms bigint NOT NULL
);
CREATE INDEX edge_epochs_unsettled ON edge_epochs (boot_epoch) WHERE watermark < last_seq;

CREATE TABLE quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payload_sha256 bytea NOT NULL UNIQUE,
    subject text NOT NULL,
    stream_sequence bigint NOT NULL,
    payload bytea NOT NULL,
    reason text NOT NULL,
    boot_epoch text,
    edge_seq bigint,
    grant_id text,
    quarantined_at_ms bigint NOT NULL,
    settled_at_ms bigint
);
CREATE INDEX quarantine_by_epoch ON quarantine (boot_epoch, edge_seq) WHERE boot_epoch IS NOT NULL;
CREATE INDEX quarantine_waiting ON quarantine (id) WHERE settled_at_ms IS NULL;

CREATE VIEW known_sequences AS
    SELECT boot_epoch, edge_seq FROM usage_events
    UNION SELECT boot_epoch, edge_seq FROM epoch_twins
    UNION SELECT boot_epoch, edge_seq FROM quarantine WHERE boot_epoch IS NOT NULL;

CREATE TABLE billing_clock (
    id smallint PRIMARY KEY CHECK (id = 1),
    clock_ms bigint NOT NULL
);
INSERT INTO billing_clock VALUES (1, 0);

CREATE TABLE stream_positions (
    stream text PRIMARY KEY,
    created text NOT NULL,
    sequence bigint NOT NULL
);

CREATE TABLE reconciliations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    clean boolean NOT NULL,
    report jsonb NOT NULL,
    made_at_ms bigint NOT NULL
);

CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject text NOT NULL,
    headers jsonb NOT NULL,
    payload bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
"""

APPEND_ONLY = ("ledger", "usage_events", "epoch_twins", "prices", "reconciliations")
UPDATABLE = (
    "wallets",
    "grants",
    "holds",
    "key_months",
    "key_windows",
    "price_records",
    "edge_epochs",
    "quarantine",
    "billing_clock",
    "stream_positions",
)


def upgrade() -> None:
    for script in (LOG, PROJECTIONS, BOOKKEEPING):
        op.execute(script)
    role = runtime_role()
    op.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
    op.execute(f"GRANT SELECT ON postings, known_sequences TO {role}")
    op.execute(f"GRANT SELECT, INSERT ON {', '.join(APPEND_ONLY)} TO {role}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON {', '.join(UPDATABLE)} TO {role}")
    op.execute(f"GRANT SELECT, INSERT, DELETE ON outbox TO {role}")
