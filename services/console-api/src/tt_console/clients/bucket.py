"""The revisions of everything in a KV bucket, read from the bucket and remembered between readings.

Each reading takes what came since the last one, and starts over when the bucket was made anew or lost records.
"""

import nats.js.errors
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from tt_common.contracts.streams import BucketSpec
from tt_common.db.outbox import revision_of

FETCH_BATCH = 1000
FETCH_TIMEOUT_S = 5.0
IDLE_TTL_S = 30.0


class BucketRevisions:
    """Fulfils `usecases.ports.Bucket` for one bucket."""

    def __init__(self, nc: Client, bucket: BucketSpec) -> None:
        self._js = nc.jetstream(timeout=5)
        self._bucket = bucket
        self._created: object = None
        self._sequence = 0
        self._messages = 0
        self._known: dict[str, int] = {}

    async def revisions(self) -> dict[str, int]:
        info = await self._js.stream_info(self._bucket.stream)
        state = info.state
        if info.created != self._created or state.last_seq < self._sequence or state.messages < self._messages:
            self._created, self._sequence, self._known = info.created, 0, {}
        self._messages = state.messages
        await self._read_to_end()
        return dict(self._known)

    async def record(self, key: str) -> bytes | None:
        try:
            message = await self._js.get_last_msg(self._bucket.stream, self._bucket.subject(key), direct=True)
        except nats.js.errors.NotFoundError:
            return None
        return message.data

    async def _read_to_end(self) -> None:
        config = ConsumerConfig(
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self._sequence + 1,
            inactive_threshold=IDLE_TTL_S,
            mem_storage=True,
            num_replicas=1,
        )
        subject = self._bucket.subject(">")
        subscription = await self._js.pull_subscribe(subject, stream=self._bucket.stream, config=config)
        prefix = self._bucket.subject("")
        try:
            pending = (await subscription.consumer_info()).num_pending or 0
            while pending > 0:
                messages = await subscription.fetch(min(FETCH_BATCH, pending), timeout=FETCH_TIMEOUT_S)
                for message in messages:
                    self._known[message.subject.removeprefix(prefix)] = revision_of(message.data)
                    self._sequence = message.metadata.sequence.stream
                pending = messages[-1].metadata.num_pending
        finally:
            await subscription.unsubscribe()
