"""Lists as the API gives them: `{"object": "list", "data", "has_more", "next_cursor"}`, and what their cursors hold."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Generic, Literal, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import AwareDatetime, BaseModel

from tt_common.clock import rfc3339
from tt_common.errors import DomainError

PAGE_MAX: Final = 100
PAGE_DEFAULT: Final = 20
BIGINT_MAX: Final = 2**63 - 1

ItemT = TypeVar("ItemT")

Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="how many entries at most")]
Cursor = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before")]
From = Annotated[AwareDatetime | None, Query(alias="from", description="from this time on (RFC 3339)")]
To = Annotated[AwareDatetime | None, Query(description="before this time (RFC 3339)")]


class Page(BaseModel, Generic[ItemT]):
    """One page of a list."""

    object: Literal["list"] = "list"
    data: list[ItemT]
    has_more: bool = False
    next_cursor: str | None = None


def cut(found: Sequence[ItemT], limit: int) -> tuple[list[ItemT], bool]:
    """At most `limit` of the `limit + 1` that were asked for, and whether there are more."""
    return list(found[:limit]), len(found) > limit


def number_cursor(cursor: str | None) -> int | None:
    """A cursor that is a number. Raises invalid_cursor."""
    if cursor is None:
        return None
    if not cursor.isdecimal() or not cursor.isascii() or int(cursor) > BIGINT_MAX:
        raise _invalid()
    return int(cursor)


def timed_cursor(cursor: str | None) -> tuple[int, UUID] | None:
    """A cursor `<Unix ms>_<UUID>`. Raises invalid_cursor."""
    if cursor is None:
        return None
    milliseconds, _, name = cursor.partition("_")
    number = number_cursor(milliseconds)
    try:
        event_id = UUID(name)
    except ValueError:
        raise _invalid() from None
    assert number is not None
    return number, event_id


def text_cursor(cursor: str | None) -> str | None:
    """A cursor that is an id. Raises invalid_cursor."""
    if cursor is not None and not (cursor.isascii() and cursor.isprintable()):
        raise _invalid()
    return cursor


def to_ms(time: datetime | None) -> int | None:
    """Unix milliseconds of an aware time."""
    return None if time is None else round(time.timestamp() * 1000)


def time_text(milliseconds: int | None) -> str | None:
    """RFC 3339, or None."""
    return None if milliseconds is None else rfc3339(milliseconds)


def _invalid() -> DomainError:
    return DomainError("invalid_cursor", "this is no cursor of this list", param="cursor")
