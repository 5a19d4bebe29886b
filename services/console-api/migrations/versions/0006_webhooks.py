"""Webhooks: customers' endpoints, what is to be delivered to them, every attempt, and the inbox of events."""

from alembic import op

from tt_common.db.migrations import runtime_role

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE webhook_endpoints (
    id text PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    url text NOT NULL,
    description text NOT NULL,
    events text[] NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'disabled', 'deleted')),
    disabled_reason text NOT NULL,
    secret text NOT NULL,
    previous_secret text,
    previous_until_ms bigint,
    failing_since_ms bigint,
    created_at_ms bigint NOT NULL,
    updated_at_ms bigint NOT NULL
);
CREATE INDEX webhook_endpoints_account ON webhook_endpoints (account_id, id);
CREATE TABLE webhook_deliveries (
    id text PRIMARY KEY,
    endpoint_id text NOT NULL REFERENCES webhook_endpoints,
    account_id text NOT NULL,
    event_id text NOT NULL,
    event_type text NOT NULL,
    body text NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'delivered', 'failed')),
    tries integer NOT NULL,
    attempts integer NOT NULL,
    next_attempt_at_ms bigint,
    created_at_ms bigint NOT NULL,
    finished_at_ms bigint,
    CHECK ((status = 'pending') = (next_attempt_at_ms IS NOT NULL))
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_attempt_at_ms) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (endpoint_id) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_account ON webhook_deliveries (account_id, id);
CREATE INDEX webhook_deliveries_finished ON webhook_deliveries (finished_at_ms) WHERE status <> 'pending';
CREATE TABLE webhook_attempts (
    delivery_id text NOT NULL REFERENCES webhook_deliveries ON DELETE CASCADE,
    number integer NOT NULL,
    at_ms bigint NOT NULL,
    duration_ms integer NOT NULL,
    status_code integer,
    error text NOT NULL,
    PRIMARY KEY (delivery_id, number)
);
CREATE TABLE webhook_inbox (
    event_id uuid PRIMARY KEY,
    at_ms bigint NOT NULL
);
CREATE INDEX webhook_inbox_at ON webhook_inbox (at_ms);
"""


def upgrade() -> None:
    op.execute(TABLES)
    tables = "webhook_endpoints, webhook_deliveries, webhook_attempts, webhook_inbox"
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {runtime_role()}")


def downgrade() -> None:
    op.execute("DROP TABLE webhook_attempts, webhook_deliveries, webhook_endpoints, webhook_inbox")
