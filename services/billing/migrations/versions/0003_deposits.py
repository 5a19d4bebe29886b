"""Deposits in ledger order, for whoever compares them with the chain. Built beside the running service: the ledger is large."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ledger_deposits")
        op.execute("CREATE INDEX CONCURRENTLY ledger_deposits ON ledger (seq) WHERE source = 'deposit'")
