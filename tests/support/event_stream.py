"""Events as an internal team reads them: straight from the JetStream stream, decoded from JSON."""

# pyright: reportUnknownMemberType=false
# (nats-py leaves **kwargs untyped)

import asyncio
from typing import Any

import msgspec
import nats
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

FETCH_TIMEOUT_S = 5.0
EVENTS_MAX = 1_000


def read_events(nats_url: str, stream: str, subject: str) -> list[dict[str, Any]]:
    """What the stream holds under `subject` now, oldest first, at most EVENTS_MAX. Leaves no consumer behind."""
    return asyncio.run(_read(nats_url, stream, subject))


async def _read(nats_url: str, stream: str, subject: str) -> list[dict[str, Any]]:
    connection = await nats.connect(nats_url)
    try:
        config = ConsumerConfig(ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL, inactive_threshold=5.0)
        subscription = await connection.jetstream().pull_subscribe(subject, stream=stream, config=config)
        pending = (await subscription.consumer_info()).num_pending or 0
        messages = await subscription.fetch(min(pending, EVENTS_MAX), timeout=FETCH_TIMEOUT_S) if pending else []
        await subscription.unsubscribe()
        return [msgspec.json.decode(message.data) for message in messages]
    finally:
        await connection.close()
