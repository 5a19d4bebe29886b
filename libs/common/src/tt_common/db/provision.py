"""Databases and roles: for each service a database, the role that owns it and the role that the service runs as. Safe to repeat.

`python -m tt_common.db.provision BILLING CONSOLE` makes what <NAME>_OWNER_DATABASE_URL and <NAME>_DATABASE_URL say, as the superuser of
TT_POSTGRES_URL; run again with other passwords in them, it changes the passwords. Never deletes anything.
"""

import os
import sys
from collections.abc import Sequence
from typing import LiteralString, NamedTuple
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import sql

CONNECT_TIMEOUT_S = 5

Superuser = psycopg.Connection[tuple[object, ...]]


def as_superuser(url: str) -> Superuser:
    """A connection for `create_role` and `create_database`. Raises psycopg.OperationalError."""
    return psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)


def create_role(connection: Superuser, role: str, password: str) -> None:
    """Creates a login role without further rights, or sets its password. Idempotent."""
    # A failing statement would be logged with the password in it.
    connection.execute("SET log_min_error_statement = panic")
    exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
    statement: LiteralString = (
        "ALTER ROLE {} WITH LOGIN PASSWORD {}" if exists else "CREATE ROLE {} WITH LOGIN PASSWORD {}"
    )
    connection.execute(sql.SQL(statement).format(sql.Identifier(role), sql.Literal(password)))


def create_database(connection: Superuser, database: str, owner: str, may_connect: Sequence[str] = ()) -> None:
    """Creates a database that only `owner`, `may_connect` and the superuser may open. Idempotent."""
    name = sql.Identifier(database)
    exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone()
    if not exists:
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, sql.Identifier(owner)))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    for role in may_connect:
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, sql.Identifier(role)))


class Place(NamedTuple):
    """What a database URL says of who opens what."""

    database: str
    role: str
    password: str


def places(owner_url: str, runtime_url: str) -> tuple[Place, Place]:
    """Of the owner and of the service. ValueError where they disagree about the database or leave something out."""
    owner, runtime = _place(owner_url), _place(runtime_url)
    if owner.database != runtime.database or owner.role == runtime.role:
        raise ValueError("the two URLs of a service must name one database and two roles")
    return owner, runtime


def provision(connection: Superuser, owner: Place, runtime: Place) -> None:
    """Makes the database and both roles, or sets their passwords. Idempotent."""
    create_role(connection, owner.role, owner.password)
    create_role(connection, runtime.role, runtime.password)
    create_database(connection, owner.database, owner.role, (runtime.role,))


def _place(url: str) -> Place:
    parts = urlsplit(url)
    database = parts.path.strip("/")
    if not (database and parts.username and parts.password):
        raise ValueError("a database URL is postgresql://role:password@host/database")
    return Place(unquote(database), unquote(parts.username), unquote(parts.password))


def main(names: Sequence[str]) -> int:
    """The command; exit status 2 where a variable is missing or wrong, and then nothing is made."""
    try:
        wanted = [
            places(os.environ[f"{name}_OWNER_DATABASE_URL"], os.environ[f"{name}_DATABASE_URL"]) for name in names
        ]
        superuser_url = os.environ["TT_POSTGRES_URL"]
    except KeyError as error:
        sys.stderr.write(f"{error.args[0]} is not set\n")
        return 2
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    with as_superuser(superuser_url) as connection:
        for owner, runtime in wanted:
            provision(connection, owner, runtime)
    sys.stdout.write(f"databases in place: {', '.join(owner.database for owner, _ in wanted)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
