"""Domain errors: a code, a sentence, data. No HTTP here; each border maps codes to its own statuses.

Codes are wire names: they travel in RPC replies and in the error bodies of the APIs, so they are never renamed.
"""

from typing import Any


class DomainError(Exception):
    """A rule said no. `code` is stable, `message` is for people, `data` is for programs (JSON values only)."""

    def __init__(self, code: str, message: str, **data: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data: dict[str, Any] = data

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Unavailable(DomainError):
    """The other side could not be reached or answered too late; the same request may be sent again."""

    def __init__(self, message: str, code: str = "unavailable", **data: Any) -> None:
        super().__init__(code, message, **data)


class DatabaseWentBack(Exception):
    """The database knows less than this process has committed to it: it was restored from a backup."""
