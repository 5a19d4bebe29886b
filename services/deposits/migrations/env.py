"""Alembic's entry: everything is in tt_common.db.migrations."""

from tt_common.db.migrations import run_migrations

run_migrations()
