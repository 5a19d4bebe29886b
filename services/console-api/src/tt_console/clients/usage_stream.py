"""Reads USAGE without a durable of its own: for a rebuild."""

import logging
from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID

import msgspec
import nats.js.errors
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from tt_common.contracts.events import UsageEvent
from tt_common.contracts.streams import BILLING_DURABLE, USAGE

log = logging.getLogger(__name__)

FETCH_BATCH: Final = 500
FETCH_TIMEOUT_S: Final = 10.0
IDLE_TTL_S: Final = 60.0

_decoder = msgspec.json.Decoder(UsageEvent)


class JetStreamUsage:
    """Fulfils `usecases.ports.UsageStream`."""

    def __init__(self, nc: Client) -> None:
        self._js = nc.jetstream(timeout=5)

    async def settled_by_billing(self) -> int:
        try:
            info = await self._js.consumer_info(USAGE.name, BILLING_DURABLE)
        except nats.js.errors.NotFoundError:
            return 0
        return info.ack_floor.stream_seq if info.ack_floor else 0

    async def read_after(self, sequence: int) -> AsyncIterator[list[UsageEvent]]:
        config = ConsumerConfig(
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=sequence + 1,
            inactive_threshold=IDLE_TTL_S,
            mem_storage=True,
            num_replicas=1,
        )
        subscription = await self._js.pull_subscribe(USAGE.subjects[0], stream=USAGE.name, config=config)
        try:
            pending = (await subscription.consumer_info()).num_pending or 0
            while pending > 0:
                messages = await subscription.fetch(min(FETCH_BATCH, pending), timeout=FETCH_TIMEOUT_S)
                yield [event for message in messages if (event := decode_usage(message.data)) is not None]
                pending -= len(messages)
        finally:
            await subscription.unsubscribe()


def decode_usage(data: bytes) -> UsageEvent | None:
    """None for what is no usage event."""
    try:
        event = _decoder.decode(data)
        UUID(event.id)
    except (msgspec.DecodeError, ValueError):
        return None
    return event
