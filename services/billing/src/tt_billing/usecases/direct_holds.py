"""Place, capture and release direct holds, each in one transaction and idempotent by the hold's id."""

from collections.abc import Callable

from tt_billing.domain.book import Book, Hold
from tt_billing.domain.holds import capture_hold, place_hold, release_hold
from tt_billing.usecases.change_grant import incomplete_knowledge
from tt_billing.usecases.context import Context
from tt_billing.usecases.ports import RecallGrants
from tt_common.contracts.wallets import CaptureHold, HoldState, PlaceHold, ReleaseHold
from tt_common.errors import DomainError


async def place(context: Context, recall: RecallGrants, request: PlaceHold) -> HoldState:
    """Raises billing_shortfall on complete knowledge only: first the edges are asked for what they have unreserved."""

    def decide(book: Book) -> Hold:
        return place_hold(book, request)

    try:
        return await _change(context, request.hold_id, request.account_id, decide)
    except DomainError as error:
        if error.code != "billing_shortfall":
            raise
    asked, _ = await _holding_grants(context, request.account_id)
    answered = (await recall(request.account_id, asked)).keys() if asked else set[str]()
    try:
        return await _change(context, request.hold_id, request.account_id, decide)
    except DomainError as error:
        still_open, lost = await _holding_grants(context, request.account_id)
        if error.code == "billing_shortfall" and (lost or still_open - answered):
            raise incomplete_knowledge() from error
        raise


async def capture(context: Context, request: CaptureHold) -> HoldState:
    return await _change(context, request.hold_id, request.account_id, lambda book: capture_hold(book, request))


async def release(context: Context, request: ReleaseHold) -> HoldState:
    return await _change(
        context,
        request.hold_id,
        request.account_id,
        lambda book: release_hold(book, request.hold_id, request.account_id),
    )


async def _change(context: Context, hold_id: str, account_id: str, decide: Callable[[Book], Hold]) -> HoldState:
    async with context.database.begin() as unit:
        book = await unit.load_book(context.now_ms(), [account_id], hold_ids=[hold_id])
        hold = decide(book)
        await unit.save_book(book)
    if book.events:
        context.poke_outbox()
    return HoldState(
        hold_id=hold.hold_id,
        account_id=hold.account_id,
        state=hold.state,
        amount_nanousd=hold.amount_nanousd,
        captured_nanousd=hold.captured_nanousd,
    )


async def _holding_grants(context: Context, account_id: str) -> tuple[set[str], set[str]]:
    async with context.database.begin() as unit:
        others = [other for other in await unit.alive_grants([account_id]) if other.held_nanousd > 0]
    return (
        {other.grant_id for other in others if other.state == "open"},
        {other.grant_id for other in others if other.state == "lost"},
    )
