"""Idempotency-Key: one call and one charge for the same key and body within 24 hours.

A record in the KV bucket `idempotency` says who is running a call or how it ended; every change is compare-and-set on
its revision. A running record is a lease, renewed by one task for all calls of this edge and judged by the broker's
clock alone. Invariant: a take-over keeps event id and hold id, so billing drops a second charge. Never keeps the
caller's header value, only hashes of it.
"""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Literal

import msgspec
from nats.aio.client import Client

from tt_common.errors import Unavailable
from tt_common.ids import new_event_id, new_id
from tt_edge.clients.idempotency_records import KvRecords, RevisionConflict
from tt_edge.clients.idempotency_replies import REPLY_BYTES_MAX, KeptReplies
from tt_edge.clients.pause import pause

log = logging.getLogger(__name__)

LEASE_S: Final = 15.0
RENEW_EVERY_S: Final = 5.0
RETRY_AFTER_S: Final = 2
CLAIM_TRIES: Final = 4
RENEW_IN_FLIGHT_MAX: Final = 64
ENDING_TRIES: Final = 20
ENDING_RETRY_S: Final = 1.0
ENDING_BYTES_MAX: Final = 64 * 1024 * 1024
"""Replies that wait in memory for the broker; beyond this a call ends without its reply kept."""

Header = tuple[str, str]
Step = Callable[[], Awaitable[None]]


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the bucket holds for one key. `chunks` of a `done` call is None where the answer was too big to keep."""

    state: Literal["running", "done"]
    body_hash: str
    event_id: str
    hold_id: str
    holder: str
    status: int = 0
    headers: tuple[Header, ...] = ()
    chunks: tuple[int, ...] | None = None


class Claimed:
    """This call runs, under `event_id` and `hold_id`. End it with `finish` or `release`.

    `taken_over`: another edge began and stopped renewing. `lost`: this one did, and another has taken the call over.
    """

    def __init__(self, key: str, record: Record, revision: int, taken_over: bool) -> None:
        self.key = key
        self.record = record
        self.revision = revision
        self.taken_over = taken_over
        self.lost = False
        self.lock = asyncio.Lock()
        """Changes of one record go one after the other: each needs the revision of the one before."""

    @property
    def event_id(self) -> str:
        return self.record.event_id

    @property
    def hold_id(self) -> str:
        return self.record.hold_id


class Replay(msgspec.Struct, frozen=True):
    """The call is done: its answer as it was, the body in chunks."""

    event_id: str
    hold_id: str
    status: int
    headers: tuple[Header, ...]
    chunks: tuple[bytes, ...]


class InProgress(msgspec.Struct, frozen=True):
    """Another request runs this call right now."""

    retry_after_s: int


class Conflict(msgspec.Struct, frozen=True):
    """The key was used with another body."""


class ReplyGone(msgspec.Struct, frozen=True):
    """The call is done and charged, its answer is not kept (any more)."""


Claim = Claimed | Replay | InProgress | Conflict | ReplyGone


class IdempotencyStore:
    """All Idempotency-Keys of one edge. `run` must be running, or leases die."""

    def __init__(self, nc: Client, lease_s: float = LEASE_S, renew_every_s: float = RENEW_EVERY_S) -> None:
        self._records = KvRecords(nc)
        self._replies = KeptReplies(nc)
        self._lease_s = lease_s
        self._renew_every_s = renew_every_s
        self._claims: dict[str, Claimed] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self._ending_bytes = 0

    async def claim(self, key_id: str, idempotency_key: str, body_hash: str) -> Claim:
        """Begin, or learn how the same call stands.

        Raises Unavailable where the broker doesn't answer within seconds.
        """
        key = hashlib.sha256(f"{key_id}\x1f{idempotency_key}".encode("utf-8", "surrogateescape")).hexdigest()
        holder = secrets.token_hex(8)
        fresh = Record(
            state="running", body_hash=body_hash, event_id=new_event_id(), hold_id=new_id("hold"), holder=holder
        )
        expected = 0
        for _ in range(CLAIM_TRIES):
            try:
                return self._hold(key, fresh, await self._write(key, fresh, expected), taken_over=False)
            except RevisionConflict:
                pass  # somebody has been here: look what stands there
            entry = await self._records.read(key)
            if entry is None or entry.data is None:
                expected = 0 if entry is None else entry.revision
                continue
            found = msgspec.json.decode(entry.data, type=Record)
            if found.body_hash != body_hash:
                return Conflict()
            if found.state == "done":
                return await self._replay(key, found)
            if entry.age_s < self._lease_s:
                return InProgress(RETRY_AFTER_S)
            heir = msgspec.structs.replace(found, holder=holder)
            with suppress(RevisionConflict):
                return self._hold(key, heir, await self._write(key, heir, entry.revision), taken_over=True)
        return InProgress(RETRY_AFTER_S)

    async def finish(self, claim: Claimed, status: int, headers: Sequence[Header], body: Sequence[bytes]) -> None:
        """Keep the answer for replays. `body` beyond REPLY_BYTES_MAX is not kept; give what there is.

        Tries once; where the broker is away it goes on in the background, and the lease with it. Never raises
        Unavailable.
        """
        size = sum(map(len, body))
        if size > REPLY_BYTES_MAX or self._ending_bytes + size > ENDING_BYTES_MAX:
            body, size, keep = (), 0, False
        else:
            keep = True

        async def store() -> None:
            chunks = await self._replies.store(claim.key, claim.event_id, claim.record.holder, body) if keep else None
            done = msgspec.structs.replace(
                claim.record, state="done", status=status, headers=tuple(headers), chunks=chunks
            )
            await self._change(claim, msgspec.json.encode(done))

        await self._end(claim, store, size)

    async def release(self, claim: Claimed) -> None:
        """Free the key, for a call that was not charged.

        As `finish`: goes on in the background, never raises Unavailable.
        """

        async def free() -> None:
            await self._change(claim, None)

        await self._end(claim, free, 0)

    async def run(self) -> None:
        """Renew the leases of all calls that run here. Ends by cancellation."""
        slots = asyncio.Semaphore(RENEW_IN_FLIGHT_MAX)

        async def renew(claim: Claimed) -> None:
            async with slots:
                try:
                    await self._change(claim, msgspec.json.encode(claim.record), only_while_held=True)
                except Unavailable as error:
                    log.warning("lease not renewed", extra={"event_id": claim.event_id, "error": str(error)})

        while True:
            await pause(self._renew_every_s)
            await asyncio.gather(*(renew(claim) for claim in list(self._claims.values())))

    async def close(self, timeout_s: float) -> None:
        """Give what is still being stored in the background `timeout_s` to end."""
        if self._endings:
            _, late = await asyncio.wait(self._endings, timeout=timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _hold(self, key: str, record: Record, revision: int, *, taken_over: bool) -> Claimed:
        claim = Claimed(key, record, revision, taken_over)
        self._claims[record.holder] = claim
        return claim

    async def _write(self, key: str, record: Record, expected: int) -> int:
        return await self._records.write(key, msgspec.json.encode(record), expected)

    async def _replay(self, key: str, done: Record) -> Replay | ReplyGone:
        chunks = await self._replies.load(key, done.event_id, done.chunks) if done.chunks is not None else None
        if chunks is None:
            return ReplyGone()
        return Replay(done.event_id, done.hold_id, done.status, done.headers, chunks)

    async def _change(self, claim: Claimed, data: bytes | None, only_while_held: bool = False) -> None:
        """Compare-and-set;

        None frees the key. A conflict is ours where an earlier change arrived and only its ack was lost.
        """
        async with claim.lock:
            if claim.lost or (only_while_held and claim.record.holder not in self._claims):
                return
            try:
                claim.revision = await self._records.write(claim.key, data, claim.revision)
                return
            except RevisionConflict:
                entry = await self._records.read(claim.key)
            if entry is not None and entry.data is not None:
                found = msgspec.json.decode(entry.data, type=Record)
                if found.holder == claim.record.holder:
                    if found.state == "running":
                        claim.revision = await self._write_again(claim.key, data, entry.revision)
                    return
            elif data is None:
                return
            claim.lost = True
            log.warning("lease lost to another edge", extra={"event_id": claim.event_id})

    async def _write_again(self, key: str, data: bytes | None, revision: int) -> int:
        try:
            return await self._records.write(key, data, revision)
        except RevisionConflict as error:
            raise Unavailable("the record changes too fast") from error

    async def _end(self, claim: Claimed, step: Step, size_bytes: int) -> None:
        try:
            await step()
        except Unavailable as error:
            log.warning("idempotency record not written yet", extra={"event_id": claim.event_id, "error": str(error)})
            self._go_on(claim, step, size_bytes)
        except asyncio.CancelledError:
            self._go_on(claim, step, size_bytes)
            raise
        else:
            self._claims.pop(claim.record.holder, None)

    def _go_on(self, claim: Claimed, step: Step, size_bytes: int) -> None:
        self._ending_bytes += size_bytes
        task = asyncio.create_task(self._end_later(claim, step, size_bytes))
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _end_later(self, claim: Claimed, step: Step, size_bytes: int) -> None:
        try:
            for _ in range(ENDING_TRIES):
                await pause(ENDING_RETRY_S)
                with suppress(Unavailable):
                    await step()
                    return
            log.error("idempotency record given up", extra={"event_id": claim.event_id})
        finally:
            self._claims.pop(claim.record.holder, None)
            self._ending_bytes -= size_bytes
