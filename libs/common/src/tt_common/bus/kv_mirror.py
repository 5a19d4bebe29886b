"""A KV bucket mirrored in memory, for readers that must answer without asking anybody.

Three ways in, so that none has to be trusted alone: a core subscription to the bucket's own subjects (at once, and back by itself
after a reconnect), a re-read of what is new on every reconnect, and a re-read every 30 s. Values only ever arrive here;
the reader compares revisions. A bucket that is suddenly empty or older is an alarm, not an order: what is known is kept.
"""

# pyright: reportUnknownMemberType=false
# (nats-py leaves **kwargs untyped)

import asyncio
import logging
from collections.abc import Callable

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext

from tt_common.clock import monotonic_s
from tt_common.contracts.streams import BucketSpec

log = logging.getLogger(__name__)

REREAD_EVERY_S = 30.0
RETRY_WAIT_S = 0.5
FETCH_BATCH = 1000
EPHEMERAL_TTL_S = 30.0
CANCEL_AGAIN_S = 0.1
_OPERATION_HEADER = "KV-Operation"


class KvMirror:
    """Feeds every value of `bucket` to `on_value(key, value)`, at least once each and again after changes.

    `on_value` must be quick and must ignore a value whose revision it already has.
    """

    def __init__(self, nc: Client, bucket: BucketSpec, on_value: Callable[[str, bytes], None]) -> None:
        self._nc = nc
        self._js: JetStreamContext = nc.jetstream(timeout=3)
        self._bucket = bucket
        self._on_value = on_value
        self._prefix = bucket.subject("")
        self._sequence = 0
        self._created: object = None
        self._read_at = 0.0
        self._wake = asyncio.Event()
        self._first_read = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.alarms = 0

    @property
    def loaded(self) -> bool:
        """Whether the bucket has been read whole at least once."""
        return self._first_read.is_set()

    @property
    def age_s(self) -> float:
        """Seconds since the bucket was last read to its end."""
        return monotonic_s() - self._read_at if self.loaded else float("inf")

    async def start(self, wait_s: float = 0.0) -> None:
        """Subscribe and read; waits at most `wait_s` for the first whole read."""
        await self._nc.subscribe(self._bucket.subject(">"), cb=self._pushed)
        self._task = asyncio.create_task(self._reread_loop())
        if wait_s > 0:
            try:
                await asyncio.wait_for(self._first_read.wait(), wait_s)
            except TimeoutError:
                log.warning("bucket not read yet", extra={"bucket": self._bucket.name})

    def refresh(self) -> None:
        """Re-read now (call on reconnect)."""
        self._wake.set()

    async def stop(self) -> None:
        # More than once: in Python 3.11 `asyncio.wait_for` drops a cancellation that comes in the same moment as the answer.
        while self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=CANCEL_AGAIN_S)

    async def _pushed(self, message: Msg) -> None:
        self._take(message)

    def _take(self, message: Msg) -> None:
        if message.headers and _OPERATION_HEADER in message.headers:
            return
        key = message.subject.removeprefix(self._prefix)
        try:
            self._on_value(key, message.data)
        except ValueError as error:
            self.alarms += 1
            log.error("bad record ignored", extra={"bucket": self._bucket.name, "key": key[:12], "error": str(error)})

    async def _reread_loop(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._read_new()
                wait_s = REREAD_EVERY_S
            except (nats.errors.Error, TimeoutError, OSError) as error:
                log.warning("bucket re-read failed", extra={"bucket": self._bucket.name, "error": repr(error)})
                wait_s = RETRY_WAIT_S
            try:
                await asyncio.wait_for(self._wake.wait(), wait_s)
            except TimeoutError:
                continue

    async def _read_new(self) -> None:
        info = await self._js.stream_info(self._bucket.stream)
        if info.created != self._created or info.state.last_seq < self._sequence:
            if self._created is not None:
                self.alarms += 1
                log.error("bucket was made anew, keeping what is known", extra={"bucket": self._bucket.name})
            self._created, self._sequence = info.created, 0
        if info.state.last_seq > self._sequence and info.state.messages:
            await self._read_from(self._sequence + 1)
        self._sequence = info.state.last_seq
        self._read_at = monotonic_s()
        self._first_read.set()

    async def _read_from(self, start: int) -> None:
        config = ConsumerConfig(
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=start,
            inactive_threshold=EPHEMERAL_TTL_S,
            mem_storage=True,
            num_replicas=1,
        )
        subscription = await self._js.pull_subscribe(
            self._bucket.subject(">"), stream=self._bucket.stream, config=config
        )
        try:
            pending = (await subscription.consumer_info()).num_pending or 0
            while pending > 0:
                messages = await subscription.fetch(min(FETCH_BATCH, pending), timeout=3)
                for message in messages:
                    self._take(message)
                pending = messages[-1].metadata.num_pending
        finally:
            await subscription.unsubscribe()
