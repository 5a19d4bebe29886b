"""Databases and roles as the URLs of the services say, made by one command that may be repeated."""

import psycopg
import pytest

from tt_common.db.provision import main
from tt_sandbox.stack import EmbeddedPostgres


def _urls(postgres: EmbeddedPostgres, password: str) -> dict[str, str]:
    return {
        "TT_POSTGRES_URL": postgres.superuser_url(),
        "BOOKS_OWNER_DATABASE_URL": postgres.url("books", "books_owner", f"{password}/1"),
        "BOOKS_DATABASE_URL": postgres.url("books", "books_app", f"{password}/2"),
    }


def test_a_database_with_two_roles_is_made_and_passwords_change_with_the_urls(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    for password in ("first", "se'cond"):
        # given
        urls = _urls(postgres, password)
        for name, url in urls.items():
            monkeypatch.setenv(name, url)

        # when
        assert main(["BOOKS"]) == 0

        # then
        with psycopg.connect(urls["BOOKS_OWNER_DATABASE_URL"]) as owner:
            owner.execute("CREATE TABLE IF NOT EXISTS entries (id int)")
        with psycopg.connect(urls["BOOKS_DATABASE_URL"]) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("CREATE TABLE others (id int)")

    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(_urls(postgres, "first")["BOOKS_DATABASE_URL"])


def test_a_missing_variable_or_two_databases_are_refused_before_anything_is_made(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, url in _urls(postgres, "any").items():
        monkeypatch.setenv(name, url)
    monkeypatch.setenv("BOOKS_DATABASE_URL", postgres.url("others", "books_app", "any"))

    assert main(["BOOKS"]) == 2
    assert main(["FILMS"]) == 2
    assert "FILMS_OWNER_DATABASE_URL is not set" in capsys.readouterr().err
    with psycopg.connect(postgres.superuser_url()) as connection:
        assert connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'books_owner'").fetchone() is None
