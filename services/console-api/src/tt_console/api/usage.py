"""What the account used: calls, hourly and daily sums, CSV. Read from the usage read model, seconds behind the calls."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from tt_common.clock import now_ms, rfc3339
from tt_common.contracts.events import Outcome
from tt_common.errors import DomainError
from tt_common.money import format_usd
from tt_console.api.context import Context, ContextDep
from tt_console.api.csv_text import csv_header, csv_response, csv_rows
from tt_console.api.pages import PAGE_DEFAULT, Cursor, From, Limit, Page, To, cut, time_text, timed_cursor, to_ms
from tt_console.api.session import SessionDep
from tt_console.domain.usage import DAY_MS, UsageRow
from tt_console.store.usage import GroupBy, RollupStep, UsageFilter, list_rollups, list_usage

router = APIRouter(tags=["usage"])

CSV_PAGE: Final = 1000
CSV_ROWS_MAX: Final = 1_000_000
ROLLUP_ROWS_MAX: Final = 10_000
RANGE_DAYS: Final[dict[RollupStep, tuple[int, int]]] = {"hourly": (7, 92), "daily": (90, 1100)}
"""By step: how many days are shown when no range is given, and how many at most."""

KeyFilter = Annotated[str | None, Query(max_length=100)]
ModelFilter = Annotated[str | None, Query(max_length=200)]
Group = Annotated[GroupBy | None, Query(description="one row a model or a key instead of one for all")]


class CallOut(BaseModel):
    """One call. Token classes are disjoint; reasoning is inside output."""

    object: Literal["call"] = "call"
    request_id: str
    key_id: str
    model: str
    outcome: str
    status: int
    endpoint: str
    stream: bool
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    audio_input_tokens: int
    audio_output_tokens: int
    images: int
    server_tool_calls: int
    seconds: int
    characters: int
    service_tier: str
    cost_usd: str
    cost_nanousd: int
    price_version: str
    usage_source: str
    error_code: str
    started_at: str | None
    finished_at: str | None


class SumsOut(BaseModel):
    """Sums over the hour or day that begins at `start`; `errors` counts what did not succeed."""

    start: str
    model: str | None = None
    key_id: str | None = None
    requests: int
    errors: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    images: int
    cost_usd: str
    cost_nanousd: int


@router.get("/usage")
async def get_usage(
    session: SessionDep,
    context: ContextDep,
    from_: From = None,
    to: To = None,
    key_id: KeyFilter = None,
    model: ModelFilter = None,
    outcome: Outcome | None = None,
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> Page[CallOut]:
    """Calls, newest first."""
    wanted = _filter(session.user.account_id, from_, to, key_id, model, outcome)
    async with context.database.reading() as connection:
        found = await list_usage(connection, wanted, limit + 1, timed_cursor(cursor))
    rows, more = cut(found, limit)
    next_cursor = f"{rows[-1].started_at_ms}_{rows[-1].event_id}" if more else None
    return Page(data=[_call_out(row) for row in rows], has_more=more, next_cursor=next_cursor)


@router.get("/usage.csv", response_class=StreamingResponse, responses={200: {"content": {"text/csv": {}}}})
async def get_usage_csv(
    session: SessionDep,
    context: ContextDep,
    from_: From = None,
    to: To = None,
    key_id: KeyFilter = None,
    model: ModelFilter = None,
    outcome: Outcome | None = None,
) -> StreamingResponse:
    """The same calls as CSV, newest first, at most a million."""
    wanted = _filter(session.user.account_id, from_, to, key_id, model, outcome)
    return csv_response(_csv_lines(context, wanted), "usage.csv")


@router.get("/usage/hourly")
async def get_hourly(
    session: SessionDep,
    context: ContextDep,
    from_: From = None,
    to: To = None,
    key_id: KeyFilter = None,
    model: ModelFilter = None,
    group_by: Group = None,
) -> Page[SumsOut]:
    """Sums by hour (UTC), oldest first; the last 7 days where no range is given."""
    return await _sums(context, "hourly", _filter(session.user.account_id, from_, to, key_id, model, None), group_by)


@router.get("/usage/daily")
async def get_daily(
    session: SessionDep,
    context: ContextDep,
    from_: From = None,
    to: To = None,
    key_id: KeyFilter = None,
    model: ModelFilter = None,
    group_by: Group = None,
) -> Page[SumsOut]:
    """Sums by day (UTC), oldest first; the last 90 days where no range is given."""
    return await _sums(context, "daily", _filter(session.user.account_id, from_, to, key_id, model, None), group_by)


async def _sums(context: Context, step: RollupStep, wanted: UsageFilter, group_by: GroupBy | None) -> Page[SumsOut]:
    shown_days, most_days = RANGE_DAYS[step]
    to_value = wanted.to_ms if wanted.to_ms is not None else now_ms() + 1
    from_value = wanted.from_ms if wanted.from_ms is not None else to_value - shown_days * DAY_MS
    if to_value - from_value > most_days * DAY_MS:
        raise DomainError("range_too_long", f"at most {most_days} days at once", param="from")
    bounded = UsageFilter(
        account_id=wanted.account_id,
        from_ms=from_value,
        to_ms=to_value,
        key_id=wanted.key_id,
        model=wanted.model,
    )
    async with context.database.reading() as connection:
        found = await list_rollups(connection, step, bounded, group_by, ROLLUP_ROWS_MAX + 1)
    rows, more = cut(found, ROLLUP_ROWS_MAX)
    data = [
        SumsOut(start=rfc3339(row.pop("start_ms")), cost_usd=format_usd(row["cost_nanousd"]), **row) for row in rows
    ]
    return Page(data=data, has_more=more)


async def _csv_lines(context: Context, wanted: UsageFilter) -> AsyncIterator[str]:
    """Page by page, so that no transaction stays open while a slow client reads."""
    columns = [*CallOut.model_fields]
    columns.remove("object")
    yield csv_header(columns)
    before: tuple[int, UUID] | None = None
    for _ in range(CSV_ROWS_MAX // CSV_PAGE):
        async with context.database.reading() as connection:
            rows = await list_usage(connection, wanted, CSV_PAGE, before)
        yield csv_rows(columns, (_call_out(row).model_dump() for row in rows))
        if len(rows) < CSV_PAGE:
            return
        before = (rows[-1].started_at_ms, rows[-1].event_id)


def _call_out(row: UsageRow) -> CallOut:
    values = msgspec.structs.asdict(row)
    return CallOut(
        request_id=str(row.event_id),
        cost_usd=format_usd(row.cost_nanousd),
        started_at=time_text(row.started_at_ms),
        finished_at=time_text(row.finished_at_ms),
        **{name: values[name] for name in CallOut.model_fields if name in values},
    )


def _filter(
    account_id: str,
    from_: datetime | None,
    to: datetime | None,
    key_id: str | None,
    model: str | None,
    outcome: str | None,
) -> UsageFilter:
    for name, text in (("key_id", key_id), ("model", model)):
        if text is not None and "\x00" in text:
            raise DomainError("invalid_request", f"{name}: no such character", param=name)
    return UsageFilter(
        account_id=account_id, from_ms=to_ms(from_), to_ms=to_ms(to), key_id=key_id, model=model, outcome=outcome
    )
