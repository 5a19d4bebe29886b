"""Whether a provider has OpenAI's Responses API: not known of those that are there."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE providers ADD COLUMN responses boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    op.execute("ALTER TABLE providers DROP COLUMN responses")
