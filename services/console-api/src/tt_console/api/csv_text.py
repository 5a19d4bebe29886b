"""Rows as CSV (RFC 4180) that a spreadsheet takes as text: no cell that came from outside can become a formula.

The rule is OWASP's: text that begins with one of FORMULA_STARTS gets an apostrophe in front.
"""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Final

from fastapi.responses import StreamingResponse

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_header(columns: Sequence[str]) -> str:
    """The first line."""
    return ",".join(columns) + "\r\n"


def csv_rows(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Lines of the named columns; numbers stay numbers, None is empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerows([_cell(row[column]) for column in columns] for row in rows)
    return buffer.getvalue()


def csv_response(lines: AsyncIterator[str], filename: str) -> StreamingResponse:
    """A download."""
    headers = {"Content-Disposition": f'attachment; filename="{filename}"'}
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
