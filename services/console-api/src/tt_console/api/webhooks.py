"""The account's webhooks. The secret is in the answer to create and rotate, and nowhere else."""

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from tt_common.clock import now_ms
from tt_common.errors import DomainError
from tt_console.api.context import Context, ContextDep
from tt_console.api.pages import Page, time_text
from tt_console.api.session import SessionDep, actor_of
from tt_console.api.webhook_deliveries import DeliveryOut, delivery_out
from tt_console.domain.accounts import Session
from tt_console.domain.webhooks import (
    DESCRIPTION_LENGTH_MAX,
    EVENT_NAMES,
    URL_LENGTH_MAX,
    Endpoint,
    EndpointStatus,
    EventName,
    check_webhook_url,
)
from tt_console.store.webhooks import get_endpoint, list_endpoints
from tt_console.usecases.manage_webhooks import (
    create_webhook,
    edit_webhook,
    rotate_webhook,
    set_webhook_status,
    try_webhook,
)

router = APIRouter(prefix="/webhooks", tags=["webhooks"])

WebhookId = Annotated[str, Path(max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]


class WebhookPatch(BaseModel):
    """What to change; fields left out stay."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(default="", min_length=1, max_length=URL_LENGTH_MAX)
    description: str = Field(default="", max_length=DESCRIPTION_LENGTH_MAX, pattern=r"^[^\x00-\x1f\x7f]*$")
    events: list[EventName] = Field(default=[*EVENT_NAMES], min_length=1, max_length=len(EVENT_NAMES))


class WebhookIn(WebhookPatch):
    """A new webhook: https, on the public Internet."""

    url: str = Field(min_length=1, max_length=URL_LENGTH_MAX)
    events: list[EventName] = Field(min_length=1, max_length=len(EVENT_NAMES))


class WebhookOut(BaseModel):
    """A webhook without its secret. `failing_since`: nothing was delivered since then."""

    object: Literal["webhook"] = "webhook"
    id: str
    url: str
    description: str
    events: list[EventName]
    status: EndpointStatus
    disabled_reason: str
    failing_since: str | None
    created_at: str | None
    updated_at: str | None


class WebhookWithSecret(WebhookOut):
    """`secret` signs the messages; it is shown this once."""

    secret: str


@router.post("", status_code=201)
async def post_webhook(
    body: WebhookIn, request: Request, session: SessionDep, context: ContextDep
) -> WebhookWithSecret:
    """Make a webhook. Its secret is in this answer and can't be had again."""
    check_webhook_url(body.url, context.webhook_networks)
    endpoint = await create_webhook(
        context.database,
        session.user.account_id,
        body.url,
        body.description,
        tuple(dict.fromkeys(body.events)),
        actor_of(request, context, session),
        now_ms(),
    )
    return WebhookWithSecret(**_fields(endpoint), secret=endpoint.secret)


@router.get("")
async def get_webhooks(session: SessionDep, context: ContextDep) -> Page[WebhookOut]:
    """The account's webhooks, newest first."""
    async with context.database.reading() as connection:
        found = await list_endpoints(connection, session.user.account_id)
    return Page(data=[WebhookOut(**_fields(endpoint)) for endpoint in found])


@router.get("/{webhook_id}")
async def get_webhook(webhook_id: WebhookId, session: SessionDep, context: ContextDep) -> WebhookOut:
    async with context.database.reading() as connection:
        endpoint = await get_endpoint(connection, session.user.account_id, webhook_id)
    if endpoint is None:
        raise DomainError("webhook_not_found", "there is no such webhook")
    return WebhookOut(**_fields(endpoint))


@router.patch("/{webhook_id}")
async def patch_webhook(
    webhook_id: WebhookId, body: WebhookPatch, request: Request, session: SessionDep, context: ContextDep
) -> WebhookOut:
    """Change the URL, the description or the events. Messages that are under way go to the new URL."""
    if "url" in body.model_fields_set:
        check_webhook_url(body.url, context.webhook_networks)
    changes: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    if "events" in changes:
        changes["events"] = tuple(dict.fromkeys(body.events))
    endpoint = await edit_webhook(
        context.database,
        session.user.account_id,
        webhook_id,
        lambda before: msgspec.structs.replace(before, **changes),
        actor_of(request, context, session),
        now_ms(),
    )
    return WebhookOut(**_fields(endpoint))


@router.post("/{webhook_id}/disable")
async def post_disable(webhook_id: WebhookId, request: Request, session: SessionDep, context: ContextDep) -> WebhookOut:
    """Nothing is sent any more; what was to be delivered has failed and can be delivered again by hand."""
    return await _set_status(webhook_id, "disabled", request, session, context)


@router.post("/{webhook_id}/enable")
async def post_enable(webhook_id: WebhookId, request: Request, session: SessionDep, context: ContextDep) -> WebhookOut:
    """Also one that was disabled because nothing reached it."""
    return await _set_status(webhook_id, "active", request, session, context)


@router.delete("/{webhook_id}")
async def delete_webhook(
    webhook_id: WebhookId, request: Request, session: SessionDep, context: ContextDep
) -> WebhookOut:
    """The webhook and its secret are gone for good; its deliveries stay to be seen."""
    return await _set_status(webhook_id, "deleted", request, session, context)


@router.post("/{webhook_id}/rotate")
async def post_rotate(
    webhook_id: WebhookId, request: Request, session: SessionDep, context: ContextDep
) -> WebhookWithSecret:
    """A new secret, shown this once. For a day messages carry a signature of the old one as well."""
    actor = actor_of(request, context, session)
    endpoint = await rotate_webhook(context.database, session.user.account_id, webhook_id, actor, now_ms())
    return WebhookWithSecret(**_fields(endpoint), secret=endpoint.secret)


@router.post("/{webhook_id}/test", status_code=202)
async def post_test(webhook_id: WebhookId, session: SessionDep, context: ContextDep) -> DeliveryOut:
    """Send a `webhook.test` message; the delivery shows what came of it."""
    return delivery_out(await try_webhook(context.database, session.user.account_id, webhook_id, now_ms()), [])


async def _set_status(
    webhook_id: str, status: EndpointStatus, request: Request, session: Session, context: Context
) -> WebhookOut:
    actor = actor_of(request, context, session)
    endpoint = await set_webhook_status(context.database, session.user.account_id, webhook_id, status, actor, now_ms())
    return WebhookOut(**_fields(endpoint))


def _fields(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "description": endpoint.description,
        "events": list(endpoint.events),
        "status": endpoint.status,
        "disabled_reason": endpoint.disabled_reason,
        "failing_since": time_text(endpoint.failing_since_ms),
        "created_at": time_text(endpoint.created_at_ms),
        "updated_at": time_text(endpoint.updated_at_ms),
    }
