"""The account's deposit address with its QR code, recharge orders, whether deposits arrive as usual. All is the deposits service's."""

import io
from typing import Annotated, Any, Final, Literal

import segno
from fastapi import APIRouter, Header, Response
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from tt_common.contracts.deposits import CreateOrder, ListOrders
from tt_common.errors import DomainError
from tt_common.ids import derived_event_id, id_of_event, new_id, sha256_hex
from tt_console.api.context import ContextDep
from tt_console.api.deposit_shapes import OrderId, OrderOut, StatusOut, order_out, status_out
from tt_console.api.pages import PAGE_DEFAULT, Cursor, Limit, Page, text_cursor, time_text
from tt_console.api.session import SessionDep
from tt_console.domain.deposits import CONTRACT_END, AdviceCode, advice_for, format_usdt, parse_usdt, status_of

router = APIRouter(prefix="/deposits", tags=["deposits"])

NOTE_LENGTH_MAX: Final = 200
QR_MODULE_PIXELS: Final = 8
QR_QUIET_ZONE: Final = 4
"""Modules of white around the code: less, and some cameras don't find it (ISO/IEC 18004)."""
QR_HEADERS: Final = {
    # Kept by the browser and asked about each time: after another sign-in this path is another address.
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}
SVG: Final = "image/svg+xml"

IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=200)]


class AdviceOut(BaseModel):
    """One thing to mind before sending."""

    code: AdviceCode
    level: Literal["info", "warning"]
    text: str


class AddressOut(BaseModel):
    """Where to send USDT (TRC-20). `usable` false: send nothing there. Less than the minimum is kept until it adds up."""

    object: Literal["deposit_address"] = "deposit_address"
    address: str
    network: str
    currency: Literal["USDT"] = "USDT"
    standard: Literal["TRC-20"] = "TRC-20"
    contract: str
    contract_end: str
    minimum_usdt: str
    minimum_micro_usdt: int
    activated: bool
    usable: bool
    assigned_at: str | None
    advice: list[AdviceOut]


class OrderIn(BaseModel):
    """A label for a payment that is to come; without an amount any will do."""

    model_config = ConfigDict(extra="forbid")

    amount_usdt: StrictStr | StrictInt | None = Field(
        default=None, description='decimal USDT with at most 6 decimals, such as "25.50"'
    )
    note: str = Field(default="", max_length=NOTE_LENGTH_MAX, pattern=r"^[^\x00-\x1f\x7f]*$")


@router.get("/address")
async def get_address(session: SessionDep, context: ContextDep) -> AddressOut:
    """The account's permanent address; the first request assigns it."""
    state = await context.deposits.address(session.user.account_id)
    return AddressOut(
        address=state.address,
        network=state.network,
        contract=state.contract,
        contract_end=state.contract[-CONTRACT_END:],
        minimum_usdt=format_usdt(state.minimum_micro_usdt),
        minimum_micro_usdt=state.minimum_micro_usdt,
        activated=state.activated,
        usable=state.usable,
        assigned_at=time_text(state.assigned_at_ms),
        advice=[AdviceOut(code=item.code, level=item.level, text=item.text) for item in advice_for(state)],
    )


@router.get(
    "/address/qr.svg",
    response_class=Response,
    responses={200: {"content": {SVG: {}}}, 304: {"description": "the browser's copy is still right"}},
)
async def get_qr(
    session: SessionDep, context: ContextDep, if_none_match: Annotated[str | None, Header(max_length=1000)] = None
) -> Response:
    """The bare address as a QR code: wallets disagree about anything more. 409 for an address that must not be used."""
    state = await context.deposits.address(session.user.account_id)
    if not state.usable:
        raise DomainError("address_unusable", "nothing must be sent to this address")
    headers = QR_HEADERS | {"ETag": f'"{sha256_hex(state.address)[:32]}"'}
    if headers["ETag"] in (if_none_match or ""):
        return Response(status_code=304, headers=headers)
    return Response(qr_svg(state.address), media_type=SVG, headers=headers)


@router.post("/orders", status_code=201)
async def post_order(
    body: OrderIn, session: SessionDep, context: ContextDep, idempotency_key: IdempotencyKey = None
) -> OrderOut:
    """Make an order. The same Idempotency-Key and body give the same order; another body is a conflict."""
    account_id = session.user.account_id
    command = CreateOrder(
        order_id=own_id("ord", account_id, idempotency_key),
        account_id=account_id,
        amount_micro_usdt=None if body.amount_usdt is None else parse_usdt(str(body.amount_usdt), "amount_usdt"),
        note=body.note,
    )
    return order_out(await context.deposits.create_order(command))


@router.get("/orders")
async def get_orders(
    session: SessionDep, context: ContextDep, limit: Limit = PAGE_DEFAULT, cursor: Cursor = None
) -> Page[OrderOut]:
    """The account's orders, newest first."""
    request = ListOrders(account_id=session.user.account_id, limit=limit, before=text_cursor(cursor))
    page = await context.deposits.orders(request)
    return Page(
        data=[order_out(order) for order in page.orders],
        has_more=page.next_before is not None,
        next_cursor=page.next_before,
    )


@router.get("/orders/{order_id}")
async def get_order(order_id: OrderId, session: SessionDep, context: ContextDep) -> OrderOut:
    return order_out(await context.deposits.order(session.user.account_id, order_id))


@router.post("/orders/{order_id}/cancel")
async def post_cancel(order_id: OrderId, session: SessionDep, context: ContextDep) -> OrderOut:
    """It takes no money any more; what arrives is credited all the same. Cancelling one that has ended changes nothing."""
    return order_out(await context.deposits.cancel_order(session.user.account_id, order_id))


@router.get("/status")
async def get_status(_: SessionDep, context: ContextDep) -> StatusOut:
    """Whether deposits arrive as usual."""
    return status_out(status_of(await context.deposits.scanner()))


def own_id(prefix: str, owner: str, idempotency_key: str | None) -> str:
    """A new id, or the one that this owner's Idempotency-Key always gives."""
    if idempotency_key is None:
        return new_id(prefix)
    return id_of_event(prefix, derived_event_id(prefix, owner, idempotency_key))


def qr_svg(text: str) -> bytes:
    """A QR code as an SVG document without scripts, styles or links, black on white, with its quiet zone."""
    options: dict[str, Any] = {"svgclass": None, "lineclass": None, "light": "#fff", "dark": "#000"}
    code = segno.make(text, error="m", micro=False)
    document = io.BytesIO()
    code.save(document, kind="svg", scale=QR_MODULE_PIXELS, border=QR_QUIET_ZONE, **options)
    return document.getvalue()
