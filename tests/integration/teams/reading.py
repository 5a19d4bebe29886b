"""Reading events with their headers, and asking billing, from tests that are not asynchronous themselves."""

# pyright: reportUnknownMemberType=false
# (nats-py leaves **kwargs untyped)

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import nats
import nats.errors
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from tt_common.bus.connection import connect
from tt_common.bus.rpc import call

EVENTS_MAX = 5_000


@dataclass(frozen=True)
class Event:
    """One message as it lies in a stream."""

    subject: str
    headers: Mapping[str, str]
    data: dict[str, Any]

    @property
    def type(self) -> str:
        return self.headers["ce-type"]


def read(nats_url: str, stream: str) -> list[Event]:
    """What the stream holds now, oldest first, at most EVENTS_MAX. Leaves no consumer behind."""
    return asyncio.run(_read(nats_url, stream))


def ask_billing(nats_url: str, subject: str, request: msgspec.Struct, reply: type[Any]) -> Any:
    """One RPC to billing, as another service of the product sends it."""
    return asyncio.run(_ask(nats_url, subject, request, reply))


async def _read(nats_url: str, stream: str) -> list[Event]:
    connection = await nats.connect(nats_url)
    try:
        config = ConsumerConfig(ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL, inactive_threshold=5.0)
        subscription = await connection.jetstream().pull_subscribe("", stream=stream, config=config)
        pending = (await subscription.consumer_info()).num_pending or 0
        messages = await subscription.fetch(min(pending, EVENTS_MAX), timeout=5) if pending else []
        await subscription.unsubscribe()
        return [Event(message.subject, message.headers or {}, json.loads(message.data)) for message in messages]
    finally:
        await connection.close()


async def _ask(nats_url: str, subject: str, request: msgspec.Struct, reply: type[Any]) -> Any:
    connection = await connect(nats_url, "tests")
    try:
        return await call(connection, subject, request, reply, timeout_s=5)
    finally:
        await connection.close()
