"""The stream ADDRESSES: who was given which address. Only reads; what is said goes through the outbox."""

# pyright: reportUnknownMemberType=false
# (nats-py leaves **kwargs untyped)

import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from typing import Final

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from tt_common.bus.consumer import stream_sequence
from tt_common.contracts.deposit_events import AddressAssigned
from tt_common.contracts.streams import ADDRESSES, addresses_subject
from tt_common.errors import Unavailable
from tt_deposits.usecases.ports import SaidBatch, StreamState

log = logging.getLogger(__name__)

FETCH_TIMEOUT_S: Final = 5.0
IDLE_TTL_S: Final = 30.0

_decoder: Final = msgspec.json.Decoder(AddressAssigned)


class AssignmentStream:
    """See usecases.ports.Assignments."""

    def __init__(self, nc: Client) -> None:
        self._js = nc.jetstream(timeout=FETCH_TIMEOUT_S)

    async def state(self) -> StreamState:
        with _unavailable():
            info = await self._js.stream_info(ADDRESSES.name)
        created = info.created.astimezone(UTC).isoformat() if info.created else ""
        return StreamState(created=created, sequence=info.state.last_seq)

    async def read(self, after: int, limit: int) -> AsyncIterator[SaidBatch]:
        config = ConsumerConfig(
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=after + 1,
            inactive_threshold=IDLE_TTL_S,
            mem_storage=True,
            num_replicas=1,
        )
        with _unavailable():
            subscription = await self._js.pull_subscribe(ADDRESSES.subjects[0], stream=ADDRESSES.name, config=config)
            try:
                pending = (await subscription.consumer_info()).num_pending or 0
                while pending > 0:
                    messages = await subscription.fetch(min(limit, pending), timeout=FETCH_TIMEOUT_S)
                    yield _batch(messages)
                    pending = messages[-1].metadata.num_pending
            finally:
                await subscription.unsubscribe()

    async def holder(self, index: int) -> AddressAssigned | None:
        with _unavailable():
            try:
                message = await self._js.get_last_msg(ADDRESSES.name, addresses_subject(index, "*"))
            except nats.js.errors.NotFoundError:
                return None
        return _decoder.decode(message.data or b"")


def _batch(messages: Sequence[Msg]) -> SaidBatch:
    events: list[AddressAssigned] = []
    for message in messages:
        try:
            events.append(_decoder.decode(message.data))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.error("no assignment", extra={"subject": message.subject, "error": str(error)})
    return SaidBatch(events=tuple(events), messages=len(messages), sequence=stream_sequence(messages[-1]))


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise Unavailable("the stream ADDRESSES can't be read now") from error
