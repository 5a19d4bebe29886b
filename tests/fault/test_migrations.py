"""A migration killed in the middle leaves nothing half-made: run again, the database is as if nothing had happened."""

import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import pytest

from tests.fault.length import only_long
from tests.fault.world import World
from tests.support.waiting import eventually
from tt_sandbox.stack.process import ChildProcess
from tt_sandbox.stack.settings import PROJECT_DIR

TABLES: Final = {"billing": "grants", "console": "models"}
"""A table that the service's first migration makes neither first nor last."""
STOP_THERE: Final = """
CREATE FUNCTION stand_still() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity = 'public.{table}') THEN
        PERFORM pg_sleep(60);
    END IF;
END $$;
CREATE EVENT TRIGGER stand_still ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION stand_still();
"""
GO_ON: Final = "DROP EVENT TRIGGER stand_still; DROP FUNCTION stand_still()"
STANDS: Final = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND wait_event = 'PgSleep'"
# Without partitions: the running service makes them as months come.
SCHEMA: Final = """
WITH parts AS (SELECT oid, relname FROM pg_class WHERE relispartition)
SELECT 'column', table_name || '.' || column_name, data_type || is_nullable || coalesce(column_default, '')
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT IN (SELECT relname FROM parts)
UNION ALL SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid NOT IN (SELECT oid FROM parts)
UNION ALL SELECT 'index', tablename || '.' || indexname, indexdef
    FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT IN (SELECT relname FROM parts)
UNION ALL SELECT 'trigger', tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid)
    FROM pg_trigger WHERE NOT tgisinternal AND tgrelid NOT IN (SELECT oid FROM parts)
UNION ALL SELECT 'rights', relname, relacl::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND NOT relispartition
UNION ALL SELECT 'revision', 'alembic', version_num FROM alembic_version
"""
DIES_WITHIN_S: Final = 30.0


@dataclass(frozen=True)
class Fresh:
    """An empty database for a service's migrations."""

    world: World
    owner: str
    name: str

    def migration(self) -> ChildProcess:
        stack = self.world.stack
        env = stack.owner_env(self.owner)
        for variable in (f"{self.owner.upper()}_DATABASE_URL", f"{self.owner.upper()}_OWNER_DATABASE_URL"):
            env[variable] = env[variable].removesuffix(f"tt_{self.owner}") + self.name
        argv = [sys.executable, "-m", {"billing": "tt_billing", "console": "tt_console"}[self.owner], "migrate"]
        log_path = stack.folder.log(f"{self.name}-migrate")
        return ChildProcess("migrate", argv, env=env, log_path=log_path, cwd=PROJECT_DIR)

    def execute(self, statements: str, *values: str, database: str | None = None) -> list[tuple[Any, ...]]:
        url = self.world.stack.postgres.superuser_url(database or self.name)
        with psycopg.connect(url, autocommit=True) as link:
            cursor = link.execute(statements.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def schema(self, database: str | None = None) -> set[tuple[Any, ...]]:
        return set(self.execute(SCHEMA, database=database))


@pytest.fixture(params=TABLES)
def fresh(world: World, request: pytest.FixtureRequest) -> Iterator[Fresh]:
    owner, postgres = request.param, world.stack.postgres
    name = f"tt_{owner}_{secrets.token_hex(4)}"
    postgres.create_database(name, f"tt_{owner}_owner", may_connect=(f"tt_{owner}_app",))
    yield Fresh(world, owner, name)
    postgres.drop_database(name)


def test_a_migration_killed_in_the_middle_and_run_again_is_whole(fresh: Fresh) -> None:
    # given a migration that has made some of its tables and stands still
    migration = _stopped_in_the_middle(fresh)
    # when it is killed, and run again
    migration.kill()
    fresh.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    # then nothing of it is left, and the next run makes the schema that an undisturbed one makes
    assert fresh.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []
    _run_again(fresh)
    assert fresh.schema() == fresh.schema(f"tt_{fresh.owner}")


@only_long
def test_a_migration_whose_database_is_killed_in_the_middle_and_run_again_is_whole(fresh: Fresh) -> None:
    # given a migration that has made some of its tables and stands still
    migration = _stopped_in_the_middle(fresh)
    # when PostgreSQL is killed and recovers
    fresh.world.stack.postgres.kill()
    assert migration.wait(DIES_WITHIN_S) not in (None, 0)
    fresh.world.heal()
    # then the next run makes the schema that an undisturbed one makes
    _run_again(fresh)
    assert fresh.schema() == fresh.schema(f"tt_{fresh.owner}")


def _stopped_in_the_middle(fresh: Fresh) -> ChildProcess:
    fresh.execute(STOP_THERE.format(table=TABLES[fresh.owner]))
    migration = fresh.migration()
    migration.start()
    eventually(lambda: fresh.execute(STANDS, fresh.name), "the migration stands still in the middle")
    return migration


def _run_again(fresh: Fresh) -> None:
    fresh.execute(GO_ON)
    began_s = time.monotonic()
    migration = fresh.migration()
    migration.start()
    assert migration.wait(DIES_WITHIN_S) == 0, (
        f"after {time.monotonic() - began_s:.0f} s: {migration.log_path.read_text()}"
    )
