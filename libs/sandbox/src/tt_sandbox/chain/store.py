"""What the chain can't compute: spans of time, reorganisations, filled heights and scripted transactions, in SQLite.

Everything is committed before the caller goes on. Without a file it is in memory and gone with the process.
"""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS spans (first INTEGER PRIMARY KEY, first_ms INTEGER NOT NULL, step_ms INTEGER NOT NULL, running INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS head (one INTEGER PRIMARY KEY CHECK (one = 1), height INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS branches (number INTEGER PRIMARY KEY, from_height INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS filled (first INTEGER PRIMARY KEY, count INTEGER NOT NULL, transactions INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS transactions (
    sequence INTEGER PRIMARY KEY, made_height INTEGER NOT NULL, height INTEGER, script TEXT NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Span:
    """Blocks from height `first` on, `step_ms` apart; a running span grows with the clock."""

    first: int
    first_ms: int
    step_ms: int
    running: bool


@dataclass(frozen=True, slots=True)
class Filled:
    """`count` blocks from height `first` on with so many unrelated transactions each."""

    first: int
    count: int
    transactions: int


@dataclass(frozen=True, slots=True)
class Row:
    """A scripted transaction; `height` is None once a reorganisation has dropped it."""

    sequence: int
    made_height: int
    height: int | None
    script: str


class Store:
    """One chain's file. Used by one thread."""

    def __init__(self, file: Path | None) -> None:
        """Makes the file where there is none, readable by its owner alone."""
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
        self._sqlite = sqlite3.connect(file or ":memory:", isolation_level=None, check_same_thread=False)
        self._sqlite.execute("PRAGMA journal_mode = WAL")
        # A killed process loses nothing; the power of a sandbox may fail.
        self._sqlite.execute("PRAGMA synchronous = NORMAL")
        self._sqlite.executescript(SCHEMA)

    def close(self) -> None:
        self._sqlite.close()

    def spans(self) -> list[Span]:
        rows = self._sqlite.execute("SELECT first, first_ms, step_ms, running FROM spans ORDER BY first")
        return [Span(first, first_ms, step_ms, bool(running)) for first, first_ms, step_ms, running in rows]

    def head(self) -> int | None:
        """The last block that came by command, or that ended a running span."""
        row = self._sqlite.execute("SELECT height FROM head").fetchone()
        return None if row is None else row[0]

    def branches(self) -> list[int]:
        """The first height of every reorganisation, in the order they happened."""
        return [height for (height,) in self._sqlite.execute("SELECT from_height FROM branches ORDER BY number")]

    def filled(self) -> list[Filled]:
        return [
            Filled(*row) for row in self._sqlite.execute("SELECT first, count, transactions FROM filled ORDER BY first")
        ]

    def rows(self) -> list[Row]:
        query = "SELECT sequence, made_height, height, script FROM transactions ORDER BY sequence"
        return [Row(*row) for row in self._sqlite.execute(query)]

    def add_span(self, span: Span, head: int, filled: Filled | None = None) -> None:
        """Ends the span before and begins this one, in the place of one that never had a block; `head` is the last block there is."""
        with self._transaction():
            self._stop(head)
            values = (span.first, span.first_ms, span.step_ms, span.running)
            self._sqlite.execute("INSERT OR REPLACE INTO spans VALUES (?, ?, ?, ?)", values)
            if filled is not None:
                self._sqlite.execute(
                    "INSERT INTO filled VALUES (?, ?, ?)", (filled.first, filled.count, filled.transactions)
                )

    def add_row(self, row: Row) -> None:
        values = (row.sequence, row.made_height, row.height, row.script)
        self._sqlite.execute("INSERT INTO transactions VALUES (?, ?, ?, ?)", values)

    def reorganise(self, first: int, last: int, new_height: int | None) -> None:
        """A branch from height `first` on; what is in blocks `first` to `last` goes to `new_height`, or nowhere."""
        with self._transaction():
            self._sqlite.execute("INSERT INTO branches (from_height) VALUES (?)", (first,))
            query = "UPDATE transactions SET height = ? WHERE height BETWEEN ? AND ?"
            self._sqlite.execute(query, (new_height, first, last))

    def stop(self, head: int) -> None:
        """No span runs any longer; `head` was the last block."""
        with self._transaction():
            self._stop(head)

    def _stop(self, head: int) -> None:
        self._sqlite.execute("UPDATE spans SET running = 0")
        query = "INSERT INTO head VALUES (1, ?) ON CONFLICT DO UPDATE SET height = excluded.height"
        self._sqlite.execute(query, (head,))

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._sqlite.execute("BEGIN IMMEDIATE")
        with self._sqlite:
            yield
