"""The embedded PostgreSQL: durable, closed without a password, and polite to the folders above it."""

import threading
from pathlib import Path

import psutil
import psycopg
import pytest

from tt_sandbox.stack import EmbeddedPostgres, StartError


def test_committed_rows_survive_kill_dash_nine(postgres: EmbeddedPostgres) -> None:
    postgres.create_role("owner", "pa'ss/word")
    postgres.create_database("books", "owner")
    with psycopg.connect(postgres.url("books", "owner", "pa'ss/word")) as connection:
        connection.execute("CREATE TABLE entries (id int)")
        connection.execute("INSERT INTO entries VALUES (7)")

    postgres.kill()
    postgres.start()

    with psycopg.connect(postgres.url("books", "owner", "pa'ss/word")) as connection:
        assert connection.execute("SELECT id FROM entries").fetchall() == [(7,)]


def test_start_waits_for_a_backend_that_outlives_the_server(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.superuser_url()) as connection:
        backend = psutil.Process(connection.info.backend_pid)
        backend.suspend()
        psutil.Process(postgres.process.pid).kill()
        postgres.process.wait(5)
        # Until it goes on and notices, it holds the shared memory that the next server wants.
        release = threading.Timer(1.0, backend.resume)
        release.start()

        postgres.start()
        release.join()

    psycopg.connect(postgres.superuser_url()).close()
    assert "pre-existing shared memory block" in postgres.process.log_path.read_text()


@pytest.mark.parametrize("password", ["wrong", ""])
def test_password_is_required(postgres: EmbeddedPostgres, password: str) -> None:
    postgres.create_role("owner", "right")

    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(postgres.url("postgres", "owner", password))


def test_role_of_one_service_cannot_open_the_database_of_another(postgres: EmbeddedPostgres) -> None:
    for role in ("billing", "billing_app", "console"):
        postgres.create_role(role, "secret")
    postgres.create_database("billing", "billing", may_connect=("billing_app",))

    psycopg.connect(postgres.url("billing", "billing_app", "secret")).close()
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(postgres.url("billing", "console", "secret"))


def test_creating_roles_and_databases_twice_keeps_the_data_and_takes_the_new_password(
    postgres: EmbeddedPostgres,
) -> None:
    for password in ("old", "new"):
        postgres.create_role("owner", password)
        postgres.create_database("books", "owner")

    psycopg.connect(postgres.url("books", "owner", "new")).close()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgres.url("books", "owner", "old"))


def test_parent_folder_keeps_its_owner_and_mode(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    before = closed.stat()
    server = EmbeddedPostgres(closed / "postgres")

    server.start()
    server.stop()

    after = closed.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)


def test_taken_port_is_named(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    with pytest.raises(StartError, match=f"port {postgres.port} is taken"):
        EmbeddedPostgres(tmp_path / "second", postgres.port).start()


def test_a_start_that_fails_shows_the_end_of_the_log(postgres: EmbeddedPostgres) -> None:
    postgres.stop()
    (postgres.cluster_dir / "postgresql.conf").write_text("no_such_setting = on\n")

    with pytest.raises(StartError, match="no_such_setting"):
        postgres.start()
