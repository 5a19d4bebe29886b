"""The account's deposits: every transfer to its address with its story, as pages and as CSV."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from tt_common.contracts.deposits import DepositState, ListRecords, RecordPage
from tt_console.api.context import Context, ContextDep
from tt_console.api.csv_text import csv_header, csv_response, csv_rows
from tt_console.api.deposit_shapes import DepositFields, DepositId, DepositOut, OrderFilter, StateFilter, deposit_out
from tt_console.api.pages import PAGE_DEFAULT, PAGE_MAX, Cursor, Limit, Page, text_cursor
from tt_console.api.session import SessionDep

router = APIRouter(prefix="/deposits", tags=["deposits"])

CSV_ROWS_MAX: Final = 100_000
CSV_COLUMNS: Final = [name for name in DepositFields.model_fields if name != "object"]


@router.get("/records")
async def get_records(
    session: SessionDep,
    context: ContextDep,
    states: StateFilter = None,
    order_id: OrderFilter = None,
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> Page[DepositOut]:
    """Deposits, newest first."""
    request = records_request(session.user.account_id, states, order_id, limit, cursor)
    page = await context.deposits.records(request)
    return Page(
        data=[deposit_out(record) for record in page.records],
        has_more=page.next_before is not None,
        next_cursor=page.next_before,
    )


@router.get("/records.csv", response_class=StreamingResponse, responses={200: {"content": {"text/csv": {}}}})
async def get_records_csv(
    session: SessionDep, context: ContextDep, states: StateFilter = None, order_id: OrderFilter = None
) -> StreamingResponse:
    """The same deposits as CSV, newest first, at most a hundred thousand."""
    request = records_request(session.user.account_id, states, order_id, PAGE_MAX, None)
    # The first page is asked for before the answer begins, so that a service that is away is a 503.
    first = await context.deposits.records(request)
    return csv_response(_csv_lines(context, request, first), "deposits.csv")


@router.get("/records/{deposit_id}")
async def get_record(deposit_id: DepositId, session: SessionDep, context: ContextDep) -> DepositOut:
    return deposit_out(await context.deposits.record(session.user.account_id, deposit_id))


def records_request(
    account_id: str | None,
    states: list[DepositState] | None,
    order_id: str | None,
    limit: int,
    cursor: str | None,
) -> ListRecords:
    """What to ask the deposits service for; `account_id` of None: everybody's."""
    return ListRecords(
        account_id=account_id,
        states=tuple(dict.fromkeys(states)) if states else None,
        order_id=order_id,
        limit=limit,
        before=text_cursor(cursor),
    )


async def _csv_lines(context: Context, request: ListRecords, page: RecordPage) -> AsyncIterator[str]:
    yield csv_header(CSV_COLUMNS)
    for _ in range(CSV_ROWS_MAX // PAGE_MAX):
        yield csv_rows(CSV_COLUMNS, (deposit_out(record).model_dump() for record in page.records))
        if page.next_before is None:
            return
        page = await context.deposits.records(msgspec.structs.replace(request, before=page.next_before))
