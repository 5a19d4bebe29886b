"""Addresses, the chain as it was read, deposits with their story, recharge orders, and what the runtime role may do with them.

Amounts are micro-USDT as numeric(78): a uint256 fits. Addresses are their 20 bytes; base58 is made at the borders.
"""

from alembic import op

from tt_common.db.migrations import runtime_role

revision = "0001"
down_revision = None

ADDRESSES = """
CREATE TABLE xpub_pin (
    id smallint PRIMARY KEY CHECK (id = 1),
    network text NOT NULL,
    fingerprint text NOT NULL,
    pinned_at_ms bigint NOT NULL
);

CREATE TABLE addresses (
    index bigint PRIMARY KEY,
    address bytea NOT NULL UNIQUE CHECK (length(address) = 20),
    account_id text UNIQUE,
    -- Solid height at which it had nothing: every transfer above it is seen by the scanner or by a re-scan from here.
    checked_height bigint NOT NULL,
    skipped_reason text NOT NULL DEFAULT '',
    made_at_ms bigint NOT NULL,
    assigned_at_ms bigint,
    activated_at_ms bigint,
    blacklisted_at_ms bigint,
    received_micro_usdt numeric(78) NOT NULL DEFAULT 0,
    sent_micro_usdt numeric(78) NOT NULL DEFAULT 0,
    last_deposit_at_ms bigint
);
CREATE INDEX addresses_spare ON addresses (index) WHERE account_id IS NULL AND skipped_reason = '';
CREATE INDEX addresses_used ON addresses (index) WHERE received_micro_usdt > 0;
"""

CHAIN = """
CREATE TABLE cursor (
    network text PRIMARY KEY,
    height bigint NOT NULL,
    block_id bytea NOT NULL,
    block_time_ms bigint NOT NULL,
    scanned_at_ms bigint NOT NULL
);

-- The newest solid blocks: what a lagging node says of one of them is compared with this. Older ones are pruned.
CREATE TABLE blocks (
    height bigint PRIMARY KEY,
    block_id bytea NOT NULL CHECK (length(block_id) = 32)
);

CREATE TABLE halt (
    network text PRIMARY KEY,
    reason text NOT NULL,
    height bigint NOT NULL,
    details jsonb NOT NULL,
    halted_at_ms bigint NOT NULL
);

CREATE TABLE halts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reason text NOT NULL,
    height bigint NOT NULL,
    details jsonb NOT NULL,
    halted_at_ms bigint NOT NULL,
    resumed_at_ms bigint NOT NULL,
    resumed_by text NOT NULL,
    resume_reason text NOT NULL
);

CREATE TABLE rescans (
    rescan_id text PRIMARY KEY,
    from_height bigint NOT NULL,
    to_height bigint NOT NULL CHECK (to_height >= from_height),
    next_height bigint NOT NULL,
    found bigint NOT NULL DEFAULT 0,
    actor text NOT NULL,
    reason text NOT NULL,
    created_at_ms bigint NOT NULL
);

CREATE TABLE contract_events (
    txid bytea NOT NULL,
    log_index integer NOT NULL,
    kind text NOT NULL,
    subject bytea,
    height bigint NOT NULL,
    block_time_ms bigint NOT NULL,
    PRIMARY KEY (txid, log_index)
);
"""

DEPOSITS = """
CREATE TABLE deposits (
    deposit_id text PRIMARY KEY,
    network text NOT NULL,
    txid bytea NOT NULL CHECK (length(txid) = 32),
    log_index integer NOT NULL,
    address_index bigint NOT NULL REFERENCES addresses (index),
    account_id text,
    from_address bytea NOT NULL,
    amount_micro_usdt numeric(78) NOT NULL CHECK (amount_micro_usdt > 0),
    block_height bigint NOT NULL,
    block_id bytea NOT NULL,
    block_time_ms bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('confirming', 'crediting', 'credited', 'below_minimum', 'under_review', 'suspense', 'orphaned')),
    -- What billing was last asked to book, when, and how often: asked again until it answers.
    entry text NOT NULL DEFAULT '' CHECK (entry IN ('', 'credit', 'suspend', 'assign')),
    asked_at_ms bigint,
    asked_times integer NOT NULL DEFAULT 0,
    booked boolean NOT NULL DEFAULT false,
    held_reason text NOT NULL DEFAULT '',
    actor text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    order_id text,
    detected_at_ms bigint,
    confirmed_at_ms bigint,
    credited_at_ms bigint,
    transaction_id text,
    UNIQUE (network, txid, log_index),
    CHECK (state IN ('confirming', 'orphaned') OR confirmed_at_ms IS NOT NULL),
    CHECK (state <> 'credited' OR (transaction_id IS NOT NULL AND account_id IS NOT NULL))
);
CREATE INDEX deposits_by_account ON deposits (account_id, block_time_ms DESC, deposit_id DESC);
CREATE INDEX deposits_by_time ON deposits (block_time_ms DESC, deposit_id DESC);
CREATE INDEX deposits_by_address ON deposits (address_index);
CREATE INDEX deposits_by_order ON deposits (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX deposits_unsolid ON deposits (block_height) WHERE state = 'confirming';
CREATE INDEX deposits_unbooked ON deposits (asked_at_ms) WHERE entry <> '' AND NOT booked;
CREATE INDEX deposits_waiting ON deposits (state, block_time_ms DESC) WHERE state IN ('below_minimum', 'under_review', 'suspense');

CREATE TABLE deposit_changes (
    deposit_id text NOT NULL REFERENCES deposits (deposit_id),
    number integer NOT NULL,
    state text NOT NULL,
    actor text NOT NULL,
    detail text NOT NULL,
    at_ms bigint NOT NULL,
    PRIMARY KEY (deposit_id, number)
);

CREATE TABLE outgoing_transfers (
    txid bytea NOT NULL,
    log_index integer NOT NULL,
    address_index bigint NOT NULL REFERENCES addresses (index),
    to_address bytea NOT NULL,
    amount_micro_usdt numeric(78) NOT NULL,
    block_height bigint NOT NULL,
    block_time_ms bigint NOT NULL,
    PRIMARY KEY (txid, log_index)
);
CREATE INDEX outgoing_by_address ON outgoing_transfers (address_index);

CREATE TABLE unsupported_transfers (
    txid bytea NOT NULL,
    -- -1: the transaction itself (TRX).
    log_index integer NOT NULL,
    address_index bigint NOT NULL REFERENCES addresses (index),
    kind text NOT NULL CHECK (kind IN ('trx', 'token')),
    contract bytea,
    amount numeric(78) NOT NULL,
    block_height bigint NOT NULL,
    block_time_ms bigint NOT NULL,
    PRIMARY KEY (txid, log_index)
);
CREATE INDEX unsupported_by_address ON unsupported_transfers (address_index);
"""

ORDERS = """
CREATE TABLE orders (
    order_id text PRIMARY KEY,
    account_id text NOT NULL,
    amount_micro_usdt numeric(78) CHECK (amount_micro_usdt > 0),
    received_micro_usdt numeric(78) NOT NULL DEFAULT 0,
    status text NOT NULL CHECK (status IN ('waiting', 'partial', 'paid', 'over', 'paid_late', 'expired', 'cancelled')),
    note text NOT NULL,
    created_at_ms bigint NOT NULL,
    expires_at_ms bigint NOT NULL
);
CREATE INDEX orders_by_account ON orders (account_id, created_at_ms DESC, order_id DESC);
CREATE INDEX orders_open ON orders (expires_at_ms) WHERE status IN ('waiting', 'partial');
"""

BOOKKEEPING = """
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

APPEND_ONLY = (
    "xpub_pin",
    "deposit_changes",
    "outgoing_transfers",
    "unsupported_transfers",
    "contract_events",
    "halts",
    "reconciliations",
)
UPDATABLE = ("addresses", "cursor", "rescans", "deposits", "orders", "stream_positions")


def upgrade() -> None:
    for script in (ADDRESSES, CHAIN, DEPOSITS, ORDERS, BOOKKEEPING):
        op.execute(script)
    role = runtime_role()
    op.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
    op.execute(f"GRANT SELECT, INSERT ON {', '.join(APPEND_ONLY)} TO {role}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON {', '.join(UPDATABLE)} TO {role}")
    op.execute(f"GRANT SELECT, INSERT, DELETE ON blocks, halt, outbox TO {role}")
