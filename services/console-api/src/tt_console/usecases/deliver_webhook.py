"""Send one claimed message and write down what came of it. No transaction is open while the receiver takes its time."""

import random
from collections.abc import Callable

from tt_console.domain.audit import SYSTEM, AuditEntry, seen
from tt_console.domain.webhooks import Attempt, Delivery, Outcome, reached, tried
from tt_console.usecases.manage_webhooks import SECRETS
from tt_console.usecases.ports import Database, Sender


async def deliver_webhook(
    database: Database, sender: Sender, claimed: Delivery, clock: Callable[[], int]
) -> Outcome | None:
    """What came of it; None where the endpoint is not active any more and nothing was sent."""
    async with database.transaction() as unit:
        endpoint = await unit.webhooks.lock(claimed.endpoint_id)
    if endpoint is None or endpoint.status != "active":
        return None
    attempt = await sender.send(endpoint, claimed)
    return await _record(database, claimed, attempt, clock())


async def _record(database: Database, claimed: Delivery, attempt: Attempt, now_ms: int) -> Outcome | None:
    async with database.transaction() as unit:
        # The endpoint first, as everybody does who locks both.
        endpoint = await unit.webhooks.lock(claimed.endpoint_id)
        delivery = await unit.deliveries.lock(claimed.id)
        if endpoint is None or delivery is None:
            return None
        after, outcome = tried(delivery, attempt, random.random(), now_ms)
        await unit.deliveries.save(after)
        await unit.deliveries.add_attempt(after, attempt)
        seen_now = reached(endpoint, attempt, now_ms)
        if seen_now != endpoint:
            await unit.webhooks.save(seen_now)
        if seen_now.status != endpoint.status:
            await unit.webhooks.give_up_pending(endpoint.id, now_ms)
            entry = AuditEntry(
                actor=SYSTEM,
                action="webhook.disabled",
                target=endpoint.id,
                account_id=endpoint.account_id,
                before=seen(endpoint, *SECRETS),
                after=seen(seen_now, *SECRETS),
            )
            await unit.audit(entry, now_ms)
    return outcome
