"""What was sent to the account's webhooks, with every attempt; and once more by hand. Kept for 30 days."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel

from tt_common.clock import now_ms
from tt_common.errors import DomainError
from tt_console.api.context import ContextDep
from tt_console.api.pages import PAGE_DEFAULT, Cursor, Limit, Page, cut, text_cursor, time_text
from tt_console.api.session import SessionDep
from tt_console.domain.webhooks import Attempt, Delivery, DeliveryStatus, Failure
from tt_console.store.deliveries import DeliveryFilter, attempts_of, get_delivery, list_deliveries
from tt_console.usecases.manage_webhooks import redeliver

router = APIRouter(prefix="/webhooks/deliveries", tags=["webhooks"])

NAME: Final = r"^[A-Za-z0-9_.-]+$"

DeliveryId = Annotated[str, Path(max_length=100, pattern=NAME)]
WebhookFilter = Annotated[str | None, Query(max_length=100, pattern=NAME)]
TypeFilter = Annotated[str | None, Query(max_length=100, pattern=NAME)]


class AttemptOut(BaseModel):
    """One POST. `error` is empty where the receiver answered with a 2xx."""

    at: str | None
    duration_ms: int
    status_code: int | None
    error: Failure


class DeliveryOut(BaseModel):
    """One message to one webhook. `event_id` is its webhook-id; `body` is what was signed and sent."""

    object: Literal["webhook_delivery"] = "webhook_delivery"
    id: str
    webhook_id: str
    event_id: str
    event_type: str
    status: DeliveryStatus
    body: str
    attempts: list[AttemptOut]
    next_attempt_at: str | None
    created_at: str | None
    finished_at: str | None


@router.get("")
async def get_deliveries(
    session: SessionDep,
    context: ContextDep,
    webhook_id: WebhookFilter = None,
    status: DeliveryStatus | None = None,
    event_type: TypeFilter = None,
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> Page[DeliveryOut]:
    """Deliveries with their attempts, newest first."""
    wanted = DeliveryFilter(
        account_id=session.user.account_id, endpoint_id=webhook_id, status=status, event_type=event_type
    )
    async with context.database.reading() as connection:
        found = await list_deliveries(connection, wanted, limit + 1, text_cursor(cursor))
        deliveries, more = cut(found, limit)
        attempts = await attempts_of(connection, [delivery.id for delivery in deliveries])
    data = [delivery_out(delivery, attempts.get(delivery.id, [])) for delivery in deliveries]
    return Page(data=data, has_more=more, next_cursor=deliveries[-1].id if more else None)


@router.get("/{delivery_id}")
async def get_one_delivery(delivery_id: DeliveryId, session: SessionDep, context: ContextDep) -> DeliveryOut:
    async with context.database.reading() as connection:
        delivery = await get_delivery(connection, session.user.account_id, delivery_id)
        attempts = await attempts_of(connection, [delivery_id])
    if delivery is None:
        raise DomainError("delivery_not_found", "there is no such delivery")
    return delivery_out(delivery, attempts.get(delivery_id, []))


@router.post("/{delivery_id}/redeliver", status_code=202)
async def post_redeliver(delivery_id: DeliveryId, session: SessionDep, context: ContextDep) -> DeliveryOut:
    """Send the same message, with the same webhook-id, once more; whatever came of it before."""
    delivery = await redeliver(context.database, session.user.account_id, delivery_id, now_ms())
    async with context.database.reading() as connection:
        attempts = await attempts_of(connection, [delivery_id])
    return delivery_out(delivery, attempts.get(delivery_id, []))


def delivery_out(delivery: Delivery, attempts: list[Attempt]) -> DeliveryOut:
    """A delivery as its owner sees it."""
    return DeliveryOut(
        id=delivery.id,
        webhook_id=delivery.endpoint_id,
        event_id=delivery.event_id,
        event_type=delivery.event_type,
        status=delivery.status,
        body=delivery.body,
        attempts=[
            AttemptOut(
                at=time_text(attempt.at_ms),
                duration_ms=attempt.duration_ms,
                status_code=attempt.status_code,
                error=attempt.error,
            )
            for attempt in attempts
        ],
        next_attempt_at=time_text(delivery.next_attempt_at_ms),
        created_at=time_text(delivery.created_at_ms),
        finished_at=time_text(delivery.finished_at_ms),
    )
