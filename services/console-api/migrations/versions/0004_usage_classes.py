"""Calls of the provider's own tools, seconds, characters and the service tier of each call. Months that are there get them as 0 and ''."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

CLASSES = ("server_tool_calls", "seconds", "characters")


def upgrade() -> None:
    for name in CLASSES:
        op.execute(f"ALTER TABLE usage ADD COLUMN {name} bigint NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE usage ADD COLUMN service_tier text NOT NULL DEFAULT ''")


def downgrade() -> None:
    for name in (*CLASSES, "service_tier"):
        op.execute(f"ALTER TABLE usage DROP COLUMN {name}")
