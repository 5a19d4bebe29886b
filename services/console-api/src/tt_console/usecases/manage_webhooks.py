"""Make, edit, disable, enable, rotate, delete webhook endpoints; send a trial; deliver again.

The endpoint's row is locked first; a deleted endpoint and another account's are both `webhook_not_found`.
"""

from collections.abc import Callable

import msgspec

from tt_common.errors import DomainError
from tt_common.ids import new_id
from tt_console.domain import webhooks
from tt_console.domain.audit import Actor, AuditEntry, seen
from tt_console.domain.throttle import LIMITS, Attempt, retry_after_s
from tt_console.domain.webhook_events import trial_webhook
from tt_console.domain.webhooks import Delivery, Endpoint, EndpointStatus, EventName
from tt_console.usecases.ports import Database, Unit

SECRETS = ("secret", "previous_secret")


async def create_webhook(
    database: Database,
    account_id: str,
    url: str,
    description: str,
    events: tuple[EventName, ...],
    actor: Actor,
    now_ms: int,
) -> Endpoint:
    """A new active endpoint with its secret. Not idempotent. The URL was checked. Raises too_many_webhooks."""
    async with database.transaction() as unit:
        # The account's row is locked, so that the limit holds for two at once.
        await unit.identity.lock_account(account_id)
        if await unit.webhooks.count(account_id) >= webhooks.ENDPOINTS_PER_ACCOUNT_MAX:
            text = f"an account has at most {webhooks.ENDPOINTS_PER_ACCOUNT_MAX} webhooks"
            raise DomainError("too_many_webhooks", text)
        endpoint = Endpoint(
            id=new_id("wh"),
            account_id=account_id,
            url=url,
            description=description,
            events=events,
            status="active",
            disabled_reason="",
            secret=webhooks.new_secret(),
            previous_secret=None,
            previous_until_ms=None,
            failing_since_ms=None,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
        )
        await unit.webhooks.add(endpoint)
        await _audit(unit, "created", None, endpoint, actor, now_ms)
    return endpoint


async def edit_webhook(
    database: Database,
    account_id: str,
    endpoint_id: str,
    edit: Callable[[Endpoint], Endpoint],
    actor: Actor,
    now_ms: int,
) -> Endpoint:
    """The endpoint with another URL, description or events; what is under way goes to the new URL."""
    async with database.transaction() as unit:
        before = await _lock(unit, account_id, endpoint_id)
        after = edit(before)
        if after == before:
            return before
        after = msgspec.structs.replace(after, updated_at_ms=now_ms)
        await unit.webhooks.save(after)
        await _audit(unit, "updated", before, after, actor, now_ms)
    return after


async def set_webhook_status(
    database: Database, account_id: str, endpoint_id: str, status: EndpointStatus, actor: Actor, now_ms: int
) -> Endpoint:
    """Active, disabled or deleted. What was to be delivered to one that is not active has failed. Idempotent while it is there."""
    async with database.transaction() as unit:
        before = await _lock(unit, account_id, endpoint_id)
        if before.status == status:
            return before
        reason = webhooks.OWNER_REASON if status == "disabled" else ""
        after = webhooks.with_status(before, status, reason, now_ms)
        await unit.webhooks.save(after)
        if status != "active":
            await unit.webhooks.give_up_pending(endpoint_id, now_ms)
        change = "enabled" if status == "active" else status
        await _audit(unit, change, before, after, actor, now_ms)
    return after


async def rotate_webhook(database: Database, account_id: str, endpoint_id: str, actor: Actor, now_ms: int) -> Endpoint:
    """A new secret; the old one signs as well for a day. Not idempotent."""
    async with database.transaction() as unit:
        before = await _lock(unit, account_id, endpoint_id)
        after = webhooks.rotated(before, webhooks.new_secret(), now_ms)
        await unit.webhooks.save(after)
        await _audit(unit, "rotated", before, after, actor, now_ms)
    return after


async def try_webhook(database: Database, account_id: str, endpoint_id: str, now_ms: int) -> Delivery:
    """A message that says nothing, on its way. Raises webhook_disabled, too_many_attempts."""
    await _throttle(database, account_id, now_ms)
    async with database.transaction() as unit:
        endpoint = await _lock(unit, account_id, endpoint_id)
        _require_active(endpoint)
        return await unit.webhooks.add_delivery(endpoint, trial_webhook(account_id, now_ms), now_ms)


async def redeliver(database: Database, account_id: str, delivery_id: str, now_ms: int) -> Delivery:
    """The message is due now, with all its tries before it. Raises delivery_not_found, webhook_disabled, too_many_attempts."""
    await _throttle(database, account_id, now_ms)
    async with database.transaction() as unit:
        known = await unit.deliveries.find(account_id, delivery_id)
        if known is None:
            raise DomainError("delivery_not_found", "there is no such delivery")
        _require_active(await unit.webhooks.lock(known.endpoint_id))
        delivery = await unit.deliveries.lock(delivery_id)
        assert delivery is not None
        after = msgspec.structs.replace(
            delivery, status="pending", tries=0, next_attempt_at_ms=now_ms, finished_at_ms=None
        )
        await unit.deliveries.save(after)
    return after


def _require_active(endpoint: Endpoint | None) -> None:
    if endpoint is None or endpoint.status != "active":
        raise DomainError("webhook_disabled", "the webhook is disabled or deleted")


async def _throttle(database: Database, account_id: str, now_ms: int) -> None:
    kind: Attempt = "webhook_send"
    limit = LIMITS[kind]
    async with database.transaction() as unit:
        count, ends_at_ms = await unit.identity.count_attempt(kind, account_id, limit.window_s, now_ms)
    wait_s = retry_after_s(count, ends_at_ms, now_ms, limit)
    if wait_s is not None:
        raise DomainError("too_many_attempts", f"try again in {wait_s} s", retry_after_s=wait_s)


async def _lock(unit: Unit, account_id: str, endpoint_id: str) -> Endpoint:
    endpoint = await unit.webhooks.lock(endpoint_id)
    if endpoint is None or endpoint.account_id != account_id or endpoint.status == "deleted":
        raise DomainError("webhook_not_found", "there is no such webhook")
    return endpoint


async def _audit(unit: Unit, change: str, before: Endpoint | None, after: Endpoint, actor: Actor, now_ms: int) -> None:
    entry = AuditEntry(
        actor=actor,
        action=f"webhook.{change}",
        target=after.id,
        account_id=after.account_id,
        before=seen(before, *SECRETS),
        after=seen(after, *SECRETS),
    )
    await unit.audit(entry, now_ms)
