"""Times as the project writes them: integer Unix milliseconds inside, RFC 3339 UTC at the borders.

Durations are measured on `monotonic_s`, which never jumps; wall-clock times are only for records.
"""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

OFFSET_VARIABLE: Final = "TT_CLOCK_OFFSET_S"
"""Fault tests: a process with this variable lives that many seconds ahead of its machine's clock (behind, below 0)."""

monotonic_s = time.monotonic
_offset_ms: Final = int(os.environ.get(OFFSET_VARIABLE) or 0) * 1000


def now_ms() -> int:
    """Unix time in milliseconds, by this machine's clock."""
    return time.time_ns() // 1_000_000 + _offset_ms


def steady_clock() -> Callable[[], int]:
    """Unix milliseconds that start at the wall clock and advance without jumps."""
    started_ms, started_s = now_ms(), monotonic_s()
    return lambda: started_ms + int((monotonic_s() - started_s) * 1000)


def to_datetime(milliseconds: int) -> datetime:
    """Unix milliseconds as an aware UTC datetime."""
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)


def rfc3339(milliseconds: int) -> str:
    """Unix milliseconds as RFC 3339 with milliseconds and `Z`."""
    return f"{_rfc3339_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=64)  # most of what is written in a second is of that second
def _rfc3339_second(second: int) -> str:
    return datetime.fromtimestamp(second, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")


def month_of(milliseconds: int) -> str:
    """The calendar month in UTC, `YYYY-MM`: the period of a key's monthly limit."""
    return to_datetime(milliseconds).strftime("%Y-%m")


def month_start_ms(month: str, offset: int = 0) -> int:
    """Unix milliseconds of the first instant of `month` (`YYYY-MM`), `offset` months later."""
    year, number = (int(part) for part in month.split("-"))
    index = year * 12 + number - 1 + offset
    return int(datetime(index // 12, index % 12 + 1, 1, tzinfo=UTC).timestamp() * 1000)
