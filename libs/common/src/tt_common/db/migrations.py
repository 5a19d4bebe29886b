"""Alembic from code: `migrate` brings a service's database to its newest revision as the owner role.

Each service keeps `migrations/env.py` that calls `run_migrations`, and `migrations/versions/*.py`. The runtime role's name is passed to the
migrations as `runtime_role`, so that they can grant it what it may do.
"""

import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, create_engine, pool, text

from tt_common.db.engine import sqlalchemy_url

ADVISORY_LOCK = 7_305_001
LOCK_POLL_S = 0.1


def migrate(folder: Path, owner_url: str, runtime_url: str) -> None:
    """Upgrade to head. Several at once wait for each other; an interrupted one is repeated whole (DDL is transactional).

    A revision that builds an index beside running services (`autocommit_block`) commits those before it and begins by dropping what an
    interrupted build has left.
    """
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.attributes["owner_url"] = owner_url
    config.attributes["runtime_role"] = urlsplit(runtime_url).username or ""
    command.upgrade(config, "head")


def run_migrations() -> None:
    """The body of a service's `migrations/env.py`."""
    attributes: dict[str, Any] = context.config.attributes
    engine = create_engine(sqlalchemy_url(attributes["owner_url"]), poolclass=pool.NullPool)
    with engine.connect() as connection:
        _wait_for_others(connection)
        context.configure(connection=connection, transactional_ddl=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


def _wait_for_others(connection: Connection) -> None:
    """Take the lock until the connection ends. No transaction waits meanwhile: an index that is built concurrently would wait for it."""
    while not connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": ADVISORY_LOCK}).scalar_one():
        connection.rollback()
        time.sleep(LOCK_POLL_S)
    connection.commit()


def runtime_role() -> str:
    """Inside a migration: the quoted name of the role that the service runs as."""
    name: str = context.config.attributes["runtime_role"]
    return '"' + name.replace('"', '""') + '"'
