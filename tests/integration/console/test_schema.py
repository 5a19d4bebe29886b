"""The tables that the code believes in are those that the migrations make."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from tests.integration.console.conftest import Deployment
from tt_common.db.engine import sqlalchemy_url
from tt_console.store.tables import metadata


def test_the_migrations_make_the_tables_that_the_code_uses(deployment: Deployment) -> None:
    engine = create_engine(sqlalchemy_url(deployment.owner_url))
    try:
        with engine.connect() as connection:
            differences = compare_metadata(MigrationContext.configure(connection), metadata)
    finally:
        engine.dispose()

    # Indexes are the migrations' own business, and the months of `usage` are made as they come.
    unexpected = [difference for difference in differences if difference[0] != "remove_index"]
    assert [d for d in unexpected if not (d[0] == "remove_table" and d[1].name.startswith("usage_20"))] == []
