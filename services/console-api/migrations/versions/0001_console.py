"""Accounts, keys, the catalog, the audit log, the usage read model. The runtime role can't change or remove audit rows."""

from alembic import op

from tt_common.db.migrations import runtime_role

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE accounts (
    id text PRIMARY KEY,
    created_at_ms bigint NOT NULL
);
CREATE TABLE users (
    id text PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    email text NOT NULL UNIQUE CHECK (email = lower(email)),
    password_hash text NOT NULL,
    role text NOT NULL CHECK (role IN ('customer', 'operator')),
    created_at_ms bigint NOT NULL
);
CREATE INDEX users_account ON users (account_id);
CREATE TABLE sessions (
    token_hash text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users,
    csrf_token text NOT NULL,
    created_at_ms bigint NOT NULL,
    expires_at_ms bigint NOT NULL,
    last_used_at_ms bigint NOT NULL
);
CREATE INDEX sessions_expiry ON sessions (expires_at_ms);
CREATE TABLE attempts (
    kind text NOT NULL,
    subject text NOT NULL,
    count integer NOT NULL,
    window_ends_at_ms bigint NOT NULL,
    PRIMARY KEY (kind, subject)
);
CREATE INDEX attempts_expiry ON attempts (window_ends_at_ms);
CREATE TABLE keys (
    id text PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    hash text NOT NULL UNIQUE,
    display text NOT NULL,
    name text NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'disabled', 'deleted')),
    kind text NOT NULL CHECK (kind IN ('wallet', 'byok')),
    revision bigint NOT NULL,
    monthly_limit_nanousd bigint,
    requests_per_minute bigint,
    tokens_per_minute bigint,
    concurrency bigint,
    models text[],
    ip_ranges text[],
    expires_at_ms bigint,
    created_at_ms bigint NOT NULL,
    updated_at_ms bigint NOT NULL
);
CREATE INDEX keys_account ON keys (account_id, id);
CREATE TABLE key_hashes (
    hash text PRIMARY KEY,
    key_id text NOT NULL REFERENCES keys,
    revision bigint NOT NULL,
    rotated_at_ms bigint NOT NULL
);
CREATE INDEX key_hashes_key ON key_hashes (key_id);
CREATE TABLE providers (
    id text PRIMARY KEY,
    status text NOT NULL CHECK (status IN ('active', 'disabled', 'deleted')),
    managed_by text NOT NULL CHECK (managed_by IN ('seed', 'operator')),
    revision bigint NOT NULL,
    created_at_ms bigint NOT NULL,
    dialect text NOT NULL,
    base_url text NOT NULL,
    key_ref text CHECK (key_ref LIKE 'env:%'),
    headers jsonb NOT NULL,
    connect_timeout_s double precision NOT NULL,
    first_byte_timeout_s double precision NOT NULL,
    between_bytes_timeout_s double precision NOT NULL
);
CREATE TABLE models (
    id text PRIMARY KEY,
    status text NOT NULL CHECK (status IN ('active', 'disabled', 'deleted')),
    managed_by text NOT NULL CHECK (managed_by IN ('seed', 'operator')),
    revision bigint NOT NULL,
    created_at_ms bigint NOT NULL,
    kind text NOT NULL,
    owned_by text NOT NULL,
    context_window bigint NOT NULL,
    max_output_tokens bigint NOT NULL,
    hold_output_tokens bigint NOT NULL,
    seeded_price text NOT NULL DEFAULT ''
);
CREATE TABLE routes (
    model_id text NOT NULL REFERENCES models,
    position integer NOT NULL,
    provider_id text NOT NULL REFERENCES providers,
    upstream_model text NOT NULL,
    priority integer NOT NULL,
    weight integer NOT NULL CHECK (weight >= 1),
    PRIMARY KEY (model_id, position),
    UNIQUE (model_id, provider_id, upstream_model)
);
CREATE INDEX routes_provider ON routes (provider_id);
CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_ms bigint NOT NULL,
    actor_kind text NOT NULL,
    actor text NOT NULL,
    actor_user_id text,
    address text NOT NULL,
    request_id text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    account_id text,
    before jsonb,
    after jsonb
);
CREATE INDEX audit_log_account ON audit_log (account_id, id);
CREATE TABLE usage (
    event_id text PRIMARY KEY,
    account_id text NOT NULL,
    key_id text NOT NULL,
    model text NOT NULL,
    provider text NOT NULL,
    outcome text NOT NULL,
    status integer NOT NULL,
    endpoint text NOT NULL,
    protocol text NOT NULL,
    stream boolean NOT NULL,
    input_tokens bigint NOT NULL,
    cache_read_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    audio_input_tokens bigint NOT NULL,
    audio_output_tokens bigint NOT NULL,
    images bigint NOT NULL,
    cost_nanousd bigint NOT NULL,
    price_version text NOT NULL,
    usage_source text NOT NULL,
    error_code text NOT NULL,
    started_at_ms bigint NOT NULL,
    finished_at_ms bigint NOT NULL,
    first_byte_ms bigint NOT NULL
);
CREATE INDEX usage_account ON usage (account_id, started_at_ms DESC, event_id DESC);
CREATE TABLE stream_positions (
    stream text PRIMARY KEY,
    created text NOT NULL,
    sequence bigint NOT NULL
);
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject text NOT NULL,
    headers jsonb NOT NULL,
    payload bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
"""

ROLLUP = """
CREATE TABLE {name} (
    account_id text NOT NULL,
    start_ms bigint NOT NULL,
    key_id text NOT NULL,
    model text NOT NULL,
    requests bigint NOT NULL,
    errors bigint NOT NULL,
    input_tokens bigint NOT NULL,
    cache_read_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    images bigint NOT NULL,
    cost_nanousd bigint NOT NULL,
    PRIMARY KEY (account_id, start_ms, key_id, model)
);
"""

CHANGEABLE = (
    "accounts, users, sessions, attempts, keys, providers, models, routes, usage_hourly, usage_daily, stream_positions"
)


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(ROLLUP.format(name="usage_hourly"))
    op.execute(ROLLUP.format(name="usage_daily"))
    role = runtime_role()
    op.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {CHANGEABLE} TO {role}")
    op.execute(f"GRANT SELECT, INSERT, DELETE ON usage, outbox TO {role}")
    op.execute(f"GRANT SELECT, INSERT ON key_hashes, audit_log TO {role}")
