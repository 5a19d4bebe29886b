"""A durable pull consumer that survives broker restarts, lost streams and database restores.

The handler commits its effects and then settles each message itself (ack, nak, term). A position (stream creation time and sequence)
that the handler stores with its effects is compared with the durable at start: where the broker believes more is settled than the
database remembers, the durable is made anew from the remembered position, less a margin for parallel consumers. A durable that is
gone (deleted, or lost with the broker's storage) is made anew in the same way.
"""

# pyright: reportUnknownMemberType=false
# (nats-py leaves **kwargs untyped)

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext

from tt_common.bus.pull import Pull

log = logging.getLogger(__name__)

ReadPosition = Callable[[], Awaitable["StreamPosition | None"]]

RETRY_WAIT_S = 0.25
EMPTY_PULLS_BEFORE_CHECK = 5
ACK_TOKENS_WITHOUT_DOMAIN = 9


class StreamPosition(msgspec.Struct, frozen=True):
    """How far a stream was settled: `created` names the stream's incarnation (RFC 3339), `sequence` the last message."""

    created: str
    sequence: int


def stream_sequence(message: Msg) -> int:
    """The sequence of a delivered message in its stream, from its reply subject; `message.metadata` makes far more of it."""
    tokens = message.reply.split(".")
    # $JS.ACK.[domain.account.]stream.consumer.delivered.stream_seq.…: nine tokens without a domain.
    return int(tokens[5] if len(tokens) == ACK_TOKENS_WITHOUT_DOMAIN else tokens[7])


def redelivered(message: Msg) -> bool:
    """Whether a delivered message was delivered before, from its reply subject."""
    tokens = message.reply.split(".")
    return tokens[4 if len(tokens) == ACK_TOKENS_WITHOUT_DOMAIN else 6] != "1"


class PullConsumer:
    """Reads one durable in batches and hands them to `handler`, at most `in_flight` batches at a time, until stopped.

    Batches begin `batch_every_s` apart unless many messages wait. With more than one in flight the next batch is decoded
    while the one before commits; the handler must bear that batches overlap and end in any order, as it must with several processes.
    """

    def __init__(
        self,
        nc: Client,
        stream: str,
        durable: str,
        subject: str,
        handler: Callable[[list[Msg]], Awaitable[None]],
        read_position: ReadPosition,
        *,
        batch_max: int = 500,
        ack_wait_s: float = 30.0,
        max_ack_pending: int = 10_000,
        batch_every_s: float = 0.0,
        in_flight: int = 1,
    ) -> None:
        self._nc = nc
        self._js: JetStreamContext = nc.jetstream(timeout=5)
        self._stream = stream
        self._subject = subject
        self._handler = handler
        self._read_position = read_position
        self._batch_max = batch_max
        self._batch_every_s = batch_every_s
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
        self._in_flight = in_flight
        self._stopping = asyncio.Event()
        self.healthy = False
        self.created = ""
        """The incarnation of the stream that is being read, for a StreamPosition; never changes while a batch is handled."""

    async def prepare(self) -> bool:
        """Make the durable if it is missing; move it back, and return True, if it is ahead of the stored position.

        Call once before `run`. Raises what `read_position` raises, NotFoundError where there is no stream.
        """
        stored = await self._read_position()
        await self._see_stream()
        sequence = stored.sequence if stored is not None and stored.created == self.created else 0
        try:
            durable = await self._js.consumer_info(self._stream, self._durable)
        except nats.js.errors.NotFoundError:
            await self._create(sequence)
            return False
        floor = durable.ack_floor.stream_seq if durable.ack_floor else 0
        if floor <= sequence:
            return False
        log.warning(
            "durable is ahead of the database, reading again",
            extra={"durable": self._durable, "ack_floor": floor, "stored": sequence},
        )
        await self._js.delete_consumer(self._stream, self._durable)
        await self._create(sequence)
        return True

    async def _see_stream(self) -> None:
        info = await self._js.stream_info(self._stream)
        self.created = info.created.astimezone(UTC).isoformat() if info.created else ""

    async def _create(self, after_sequence: int) -> None:
        margin = self._config.max_ack_pending or 0
        start = max(1, after_sequence - margin + 1)
        config = self._config.evolve(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=start)
        await self._js.add_consumer(self._stream, config)

    async def run(self) -> None:
        """Read and handle until `stop`. Broker errors are waited out; a handler's exception delays the batch's redelivery."""
        while not self._stopping.is_set():
            pull = Pull(self._nc, self._stream, self._durable, self._batch_max, self._batch_every_s)
            try:
                await self._find()
                await pull.start()
                self.healthy = True
                await self._pump(pull)
            except (nats.errors.Error, TimeoutError, OSError) as error:
                self.healthy = False
                log.warning("consumer waits for the broker", extra={"durable": self._durable, "error": repr(error)})
                await asyncio.sleep(RETRY_WAIT_S)
            finally:
                await pull.stop()

    async def _find(self) -> None:
        """Learn which stream this is; a durable that is gone is made anew. Raises nats errors only."""
        await self._see_stream()
        try:
            await self._js.consumer_info(self._stream, self._durable)
        except nats.js.errors.NotFoundError:
            log.warning("the durable is gone, making it anew", extra={"durable": self._durable})
            try:
                await self.prepare()
            except nats.errors.Error:
                raise
            except Exception as error:  # the database's, whichever it is: the position is not known yet
                raise nats.errors.Error(f"the position can't be read: {error!r}") from error

    async def _pump(self, pull: Pull) -> None:
        empty = 0
        reconnects = self._nc.stats["reconnects"]
        handling: set[asyncio.Task[None]] = set()
        try:
            while not self._stopping.is_set():
                if len(handling) >= self._in_flight:
                    _, handling = await asyncio.wait(handling, return_when=asyncio.FIRST_COMPLETED)
                    continue
                messages = await pull.batch(self._stopping)
                if self._nc.stats["reconnects"] != reconnects:
                    # The stream may be another one now: what came must not be stored as a position in it.
                    for message in messages:
                        await message.nak()
                    raise nats.errors.Error("reconnected")
                if messages:
                    empty = 0
                    self.healthy = True
                    handling.add(asyncio.create_task(self._handle(messages)))
                    handling = {task for task in handling if not task.done()}
                    continue
                empty += 1
                if empty >= EMPTY_PULLS_BEFORE_CHECK:
                    await self._check_not_stalled()
                    empty = 0
        except asyncio.CancelledError:
            _cancel(handling)
            raise
        finally:
            try:
                if handling:
                    await asyncio.wait(handling)
            finally:
                _cancel(handling)

    async def _check_not_stalled(self) -> None:
        """A pull that gets nothing while messages wait is stalled: raising makes `run` pull anew."""
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
            try:
                for message in messages:
                    if not message.is_acked:
                        await message.nak(delay=RETRY_WAIT_S * 4)
            except (nats.errors.Error, OSError) as nak_error:
                log.info(
                    "redelivery waits for the ack wait", extra={"durable": self._durable, "error": repr(nak_error)}
                )
            await asyncio.sleep(RETRY_WAIT_S)

    async def lag(self) -> int:
        """Messages not yet settled by this durable."""
        info = await self._js.consumer_info(self._stream, self._durable)
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    def stop(self) -> None:
        """End `run` after the batches in hand; an idle wait ends at once."""
        self._stopping.set()


def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
