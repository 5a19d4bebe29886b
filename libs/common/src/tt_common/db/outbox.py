"""Transactional outbox: messages written with the effect that they tell of, published afterwards in order, at least once.

A row is any JetStream message, an event or a KV put (`$KV.<bucket>.<key>`). One relay at a time (leadership) publishes in id order. What
the broker refuses (its stream is full or gone) stays and holds up its own stream alone; the others go on. A KV put is a
compare-and-set on the record's revision: whoever publishes it late (a deposed leader, a database restored from a backup) can't put an
older record over a newer one. Published rows are deleted.
"""

# pyright: reportUnknownMemberType=false
# (nats-py leaves **kwargs untyped)

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from sqlalchemy import BigInteger, Column, DateTime, Identity, LargeBinary, MetaData, Table, Text, delete, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tt_common.bus.events import MESSAGE_ID, event_headers
from tt_common.clock import monotonic_s
from tt_common.crash_points import CrashCheck
from tt_common.db.leadership import lead
from tt_common.ids import new_event_id

log = logging.getLogger(__name__)

BATCH_MAX = 200
PUT_TRIES = 5
WRONG_LAST_SEQUENCE = 10071
EXPECTED_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
POLL_S = 0.2
PUBLISHED_POLL_S = 0.01
PUBLISH_TIMEOUT_S = 3.0
LOCK = 7_305_002
KV_PREFIX = "$KV."
REFUSED_PAUSE_S = 1.0
"""Before a stream that refused is tried again."""


class _Revision(msgspec.Struct):
    revision: int = -1


_revisions = msgspec.json.Decoder(_Revision)


class OutboxMessage(msgspec.Struct, frozen=True):
    """What to publish; `headers` may be empty."""

    subject: str
    payload: bytes
    headers: dict[str, Any]


def event_message(
    subject: str,
    event_type: str,
    source: str,
    event_id: str,
    event_subject: str,
    time_ms: int,
    data: msgspec.Struct,
    *,
    said_again: bool = False,
) -> OutboxMessage:
    """An event struct as an outbox message with CloudEvents headers.

    `said_again`: the same event is said more than once on purpose, and the broker's dedupe window must let each message through.
    """
    headers = event_headers(event_id, event_type, source, event_subject, time_ms)
    if said_again:
        headers[MESSAGE_ID] = new_event_id()
    return OutboxMessage(subject=subject, payload=msgspec.json.encode(data), headers=headers)


def outbox_table(metadata: MetaData) -> Table:
    """The outbox table of a service, for its own metadata and migration."""
    return Table(
        "outbox",
        metadata,
        Column("id", BigInteger, Identity(always=True), primary_key=True),
        Column("subject", Text, nullable=False),
        Column("headers", JSONB, nullable=False),
        Column("payload", LargeBinary, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    )


async def enqueue(connection: AsyncConnection, table: Table, messages: Sequence[OutboxMessage]) -> None:
    """Add messages to the caller's transaction."""
    if messages:
        rows = [{"subject": m.subject, "headers": m.headers, "payload": m.payload} for m in messages]
        await connection.execute(table.insert(), rows)


class OutboxRelay:
    """Publishes the outbox of one database. `poke()` after a commit makes it look at once."""

    def __init__(self, engine: AsyncEngine, nc: Client, table: Table, crash: CrashCheck = lambda _: None) -> None:
        """`crash` is told of the point after_publish_before_delete."""
        self._engine = engine
        self._js = nc.jetstream(timeout=PUBLISH_TIMEOUT_S)
        self._table = table
        self._crash = crash
        self._poked = asyncio.Event()
        self._refused: dict[str, float] = {}
        """By the beginning of its subjects: until when a stream is left alone, on the steady clock."""

    def poke(self) -> None:
        self._poked.set()

    async def wait_published(self, timeout_s: float) -> bool:
        """Poke, and wait until what is in the outbox now is published, by whichever process leads; False after `timeout_s`."""
        self.poke()
        table = self._table
        async with self._engine.connect() as connection:
            last = (await connection.execute(select(func.max(table.c.id)))).scalar()
        deadline_s = monotonic_s() + timeout_s
        while last is not None and monotonic_s() < deadline_s:
            await asyncio.sleep(PUBLISHED_POLL_S)
            async with self._engine.connect() as connection:
                first = (await connection.execute(select(func.min(table.c.id)))).scalar()
            if first is None or first > last:
                return True
        return last is None

    async def run(self, stopping: asyncio.Event) -> None:
        await lead(self._engine, LOCK, self._tick, stopping)

    async def _tick(self) -> float:
        if not await self._publish_batch():
            try:
                await asyncio.wait_for(self._poked.wait(), POLL_S)
            except TimeoutError:
                return 0.0
            self._poked.clear()
        return 0.0

    async def _publish_batch(self) -> bool:
        """Whether there is more to publish at once."""
        table = self._table
        self._refused = {start: until_s for start, until_s in self._refused.items() if until_s > monotonic_s()}
        due = select(table).where(*(~table.c.subject.startswith(start) for start in self._refused))
        async with self._engine.connect() as connection:
            rows = (await connection.execute(due.order_by(table.c.id).limit(BATCH_MAX))).all()
        done: list[int] = []
        more = len(rows) == BATCH_MAX
        try:
            for row in rows:
                if _start_of(row.subject) not in self._refused and await self._publish(row):
                    done.append(row.id)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            log.warning("outbox waits for the broker", extra={"error": repr(error)})
            await asyncio.sleep(POLL_S)
            more = False
        if done:
            self._crash("after_publish_before_delete")
            async with self._engine.begin() as connection:
                await connection.execute(delete(table).where(table.c.id.in_(done)))
        return more

    async def _publish(self, row: Any) -> bool:
        """False: the broker refused it, and takes nothing of that stream for now. Raises where the broker is away."""
        try:
            if row.subject.startswith(KV_PREFIX):
                await self._put(row.subject, row.payload, dict(row.headers))
            else:
                await self._js.publish(row.subject, row.payload, headers=dict(row.headers) or None)
        except (nats.js.errors.APIError, nats.js.errors.NoStreamResponseError) as error:
            log.warning(
                "the broker refuses what is in the outbox", extra={"subject": row.subject, "error": repr(error)}
            )
            self._refused[_start_of(row.subject)] = monotonic_s() + REFUSED_PAUSE_S
            return False
        return True

    async def _put(self, subject: str, payload: bytes, headers: dict[str, Any]) -> None:
        """Into its bucket, unless a newer record (or the same) is there. Raises nats errors."""
        stream = f"KV_{subject.split('.')[1]}"
        for _ in range(PUT_TRIES):
            try:
                present = await self._js.get_last_msg(stream, subject, direct=True)
                sequence, data = present.seq or 0, present.data or b""
            except nats.js.errors.NotFoundError:
                sequence, data = 0, b""
            if payload == data:
                return
            if revision_of(payload) < revision_of(data):
                log.warning("the bucket has a newer record, not put", extra={"bucket": stream})
                return
            try:
                expected = {EXPECTED_SEQUENCE: str(sequence)}
                await self._js.publish(subject, payload, headers=headers | expected)
                return
            except nats.js.errors.APIError as error:
                if error.err_code != WRONG_LAST_SEQUENCE:
                    raise
        raise nats.errors.Error(f"the record in {stream} changes too fast")


def _start_of(subject: str) -> str:
    """What all subjects of its stream begin with: `usage.`, `$KV.keys.`."""
    tokens = 2 if subject.startswith(KV_PREFIX) else 1
    return ".".join(subject.split(".")[:tokens]) + "."


def revision_of(record: bytes) -> int:
    """The revision of a KV record; -1 for what is none."""
    try:
        return _revisions.decode(record).revision
    except (msgspec.DecodeError, UnicodeDecodeError):
        return -1
