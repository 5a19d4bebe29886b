"""Cursors of lists that go from new to old: a time and an id, as one text."""

import re
from typing import Final

from tt_common.errors import DomainError

_MARK: Final = re.compile(r"([0-9]{1,18})\.([A-Za-z0-9_-]{1,128})")


def page_mark(time_ms: int, row_id: str) -> str:
    """Where the page ended."""
    return f"{time_ms}.{row_id}"


def page_before(mark: str | None) -> tuple[int, str] | None:
    """Where the next page begins. Error: invalid_request."""
    if mark is None:
        return None
    found = _MARK.fullmatch(mark)
    if found is None:
        raise DomainError("invalid_request", "`before` is not the `next_before` of a page")
    return int(found[1]), found[2]
