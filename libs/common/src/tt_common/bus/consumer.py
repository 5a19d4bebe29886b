"""A durable pull consumer that survives broker restarts and database restores.

The handler commits its effects and then settles each message itself (ack, nak, term). A position (stream creation time and sequence)
that the handler stores with its effects is compared with the durable at start: where the broker believes more is settled than the
database remembers, the durable is made anew from the remembered position, less a margin for parallel consumers.
"""

# pyright: reportUnknownMemberType=false
# (nats-py leaves **kwargs untyped)

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext

log = logging.getLogger(__name__)

FETCH_WAIT_S = 1.0
RETRY_WAIT_S = 0.25
EMPTY_FETCHES_BEFORE_CHECK = 5


class StreamPosition(msgspec.Struct, frozen=True):
    """How far a stream was settled: `created` names the stream's incarnation (RFC 3339), `sequence` the last message."""

    created: str
    sequence: int


class PullConsumer:
    """Fetches batches from one durable and hands them to `handler`, one batch at a time, until stopped."""

    def __init__(
        self,
        nc: Client,
        stream: str,
        durable: str,
        subject: str,
        handler: Callable[[list[Msg]], Awaitable[None]],
        *,
        batch_max: int = 500,
        ack_wait_s: float = 30.0,
        max_ack_pending: int = 10_000,
    ) -> None:
        self._js: JetStreamContext = nc.jetstream(timeout=5)
        self._stream = stream
        self._subject = subject
        self._handler = handler
        self._batch_max = batch_max
        self._config = ConsumerConfig(
            durable_name=durable,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ack_wait_s,
            max_ack_pending=max_ack_pending,
            max_deliver=-1,
            filter_subject=subject,
            deliver_policy=DeliverPolicy.ALL,
        )
        self._durable = durable
        self._stopping = asyncio.Event()
        self._fetch: asyncio.Future[list[Msg]] | None = None
        self.healthy = False

    async def stream_created(self) -> str:
        """The incarnation of the stream, for a StreamPosition."""
        info = await self._js.stream_info(self._stream)
        return info.created.astimezone(UTC).isoformat() if info.created else ""

    async def prepare(self, stored: StreamPosition | None) -> None:
        """Make the durable if it is missing; move it back if it is ahead of `stored`. Call once before `run`."""
        created = await self.stream_created()
        sequence = stored.sequence if stored is not None and stored.created == created else 0
        try:
            info = await self._js.consumer_info(self._stream, self._durable)
        except nats.js.errors.NotFoundError:
            await self._create(sequence)
            return
        floor = info.ack_floor.stream_seq if info.ack_floor else 0
        if floor > sequence:
            log.warning(
                "durable is ahead of the database, reading again",
                extra={"durable": self._durable, "ack_floor": floor, "stored": sequence},
            )
            await self._js.delete_consumer(self._stream, self._durable)
            await self._create(sequence)

    async def _create(self, after_sequence: int) -> None:
        margin = self._config.max_ack_pending or 0
        start = max(1, after_sequence - margin + 1)
        config = self._config.evolve(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=start)
        await self._js.add_consumer(self._stream, config)

    async def run(self) -> None:
        """Fetch and handle until `stop`. Broker errors are waited out; a handler's exception delays the batch's redelivery."""
        while not self._stopping.is_set():
            try:
                subscription = await self._js.pull_subscribe_bind(durable=self._durable, stream=self._stream)
                await self._js.consumer_info(self._stream, self._durable)
                self.healthy = True
                await self._pump(subscription)
            except (nats.errors.Error, TimeoutError, OSError) as error:
                self.healthy = False
                log.warning("consumer waits for the broker", extra={"durable": self._durable, "error": repr(error)})
                await asyncio.sleep(RETRY_WAIT_S)

    async def _pump(self, subscription: JetStreamContext.PullSubscription) -> None:
        empty = 0
        try:
            while not self._stopping.is_set():
                self._fetch = asyncio.ensure_future(subscription.fetch(self._batch_max, timeout=FETCH_WAIT_S))
                try:
                    messages = await self._fetch
                except (nats.errors.TimeoutError, TimeoutError):
                    messages = []
                except asyncio.CancelledError:
                    if self._stopping.is_set():
                        return
                    raise
                if not messages:
                    empty += 1
                    if empty >= EMPTY_FETCHES_BEFORE_CHECK:
                        await self._check_not_stalled()
                        empty = 0
                    continue
                empty = 0
                self.healthy = True
                await self._handle(messages)
        finally:
            try:
                await subscription.unsubscribe()
            except (nats.errors.Error, OSError) as error:
                log.info("pull subscription was gone", extra={"durable": self._durable, "error": repr(error)})

    async def _check_not_stalled(self) -> None:
        """A pull that gets nothing while messages wait is stalled: raising makes `run` bind anew."""
        info = await self._js.consumer_info(self._stream, self._durable)
        self.healthy = True
        if info.num_pending and (info.num_ack_pending or 0) < (self._config.max_ack_pending or 0):
            raise nats.errors.Error("pull stalled")

    async def _handle(self, messages: list[Msg]) -> None:
        try:
            await self._handler(messages)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.warning("batch failed, will be redelivered", extra={"durable": self._durable, "error": repr(error)})
            for message in messages:
                if not message.is_acked:
                    await message.nak(delay=RETRY_WAIT_S * 4)
            await asyncio.sleep(RETRY_WAIT_S)

    async def lag(self) -> int:
        """Messages not yet settled by this durable."""
        info = await self._js.consumer_info(self._stream, self._durable)
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    def stop(self) -> None:
        """End `run` after the batch in hand; an idle wait ends at once."""
        self._stopping.set()
        if self._fetch is not None:
            self._fetch.cancel()
