"""Usage events that nobody waits for any more: lost for good, on a person's word."""

from alembic import op

from tt_common.db.migrations import runtime_role

revision = "0002"
down_revision = "0001"

TABLE = """
CREATE TABLE written_off (
    boot_epoch text NOT NULL,
    edge_id text NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    written_off_at_ms bigint NOT NULL,
    PRIMARY KEY (boot_epoch, first_seq)
);
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.execute(f"GRANT SELECT, INSERT ON written_off TO {runtime_role()}")
