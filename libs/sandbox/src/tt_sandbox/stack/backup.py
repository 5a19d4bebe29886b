"""Backups of the stack's databases and their restoration: pg_dump and pg_restore of the wheel, one file a database.

A backup is taken while everything runs and is one moment of one database. NATS is not backed up: what it holds comes again from the
databases and the edges' journals. Invariant: a restore that fails leaves the database as it was. Passwords never stand on a command line.
"""

import hashlib
import json
import subprocess
import time
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from tt_sandbox.stack.folders import write_private
from tt_sandbox.stack.ports import HOST
from tt_sandbox.stack.postgres import SUPERUSER, EmbeddedPostgres, postgres_program, server_env
from tt_sandbox.stack.process import StartError
from tt_sandbox.stack.stack import DATABASE_OWNERS

MANIFEST: Final = "manifest.json"
COMMAND_TIMEOUT_S: Final = 3600.0
RESTORING: Final = "_restoring"
BEFORE: Final = "_before"


def dump_database(postgres: EmbeddedPostgres, database: str, file: Path) -> None:
    """Writes one moment of `database` to `file` (0600), compressed. Raises StartError."""
    file.touch(mode=0o600)
    _run(postgres, "pg_dump", "--format=custom", f"--file={file}", f"--dbname={database}")


def restore_database(
    postgres: EmbeddedPostgres, database: str, file: Path, owner: str, *, may_connect: tuple[str, ...] = ()
) -> None:
    """Puts what `dump_database` wrote in the place of `database`, ending its connections. Raises StartError."""
    fresh = database + RESTORING
    postgres.drop_database(fresh)
    postgres.create_database(fresh, owner, may_connect=may_connect)
    _run(postgres, "pg_restore", "--exit-on-error", "--single-transaction", f"--dbname={fresh}", str(file))
    before = database + BEFORE
    postgres.drop_database(before)
    with psycopg.connect(postgres.superuser_url(), autocommit=True) as connection:
        _rename(connection, database, before)
        _rename(connection, fresh, database)
    postgres.drop_database(before)


def _rename(connection: psycopg.Connection[tuple[object, ...]], old: str, new: str) -> None:
    """Ends the connections of `old`; does nothing where there is no such database."""
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (old,)).fetchone() is None:
        return
    name = sql.Identifier(old)
    connection.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false").format(name))
    connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (old,))
    connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(name, sql.Identifier(new)))
    connection.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true").format(sql.Identifier(new)))


def back_up(postgres: EmbeddedPostgres, folder: Path) -> list[Path]:
    """The database of every service that has one here into `folder`, each one moment of its own. Raises StartError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files: list[Path] = []
    with psycopg.connect(postgres.superuser_url(), autocommit=True) as connection:
        present = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
    for owner in DATABASE_OWNERS:
        if f"tt_{owner}" not in present:
            continue
        files.append(folder / f"{owner}.dump")
        dump_database(postgres, f"tt_{owner}", files[-1])
    write_manifest(folder, files)
    return files


def restore(postgres: EmbeddedPostgres, owner: str, folder: Path) -> None:
    """The database of "billing", "deposits" or "console" as `folder` has it; its service is stopped before. Raises StartError."""
    file = check_file(folder, f"{owner}.dump")
    restore_database(postgres, f"tt_{owner}", file, f"tt_{owner}_owner", may_connect=(f"tt_{owner}_app",))


def write_manifest(folder: Path, files: list[Path]) -> None:
    """What the backup is made of, so that a copy of it can be checked."""
    entries = {file.name: {"bytes": file.stat().st_size, "sha256": _sha256(file)} for file in files}
    made_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    write_private(folder / MANIFEST, json.dumps({"made_at": made_at, "files": entries}, indent=2) + "\n")


def check_file(folder: Path, name: str) -> Path:
    """A file of a backup that is what its manifest says. Raises StartError."""
    file = folder / name
    try:
        entry = json.loads((folder / MANIFEST).read_text())["files"][name]
    except (OSError, KeyError, ValueError):
        raise StartError(f"there is no backup of {name} in {folder}") from None
    if not file.exists() or _sha256(file) != entry["sha256"]:
        raise StartError(f"{file} is damaged")
    return file


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _run(postgres: EmbeddedPostgres, program: str, *arguments: str) -> None:
    env = server_env() | {"PGPASSWORD": postgres.superuser_password()}
    argv = [str(postgres_program(program)), f"--host={HOST}", f"--port={postgres.port}", f"--username={SUPERUSER}"]
    done = subprocess.run(
        [*argv, "--no-password", *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise StartError(f"{program} failed with {done.returncode}: {done.stderr.strip()[-2000:]}")
