"""Usage events on their way to the USAGE stream, and billing's watermark on its way back.

Invariant: nothing is lost here, because an event stays in the journal until billing has settled it: an unacknowledged
or refused publish is tried again with backoff, what stays uncovered is published again, and consumers drop duplicates
by id. Never blocks a call.

Acks come to one inbox of our own, matched by token: a third of the CPU of a `js.publish` each, and every error is
seen.
"""

import asyncio
import logging
from collections import deque
from typing import Final

import nats.errors
from nats.aio.subscription import Subscription

from tt_common.bus import rpc
from tt_common.bus.events import usage_headers
from tt_common.bus.lean_client import LeanClient
from tt_common.clock import monotonic_s
from tt_common.contracts.grants import EPOCHS_BEAT, EpochBeat, EpochBeatReply
from tt_common.contracts.streams import usage_subject
from tt_common.errors import DomainError
from tt_edge.clients.pause import pause
from tt_edge.journal.journal import Journal, Uncovered

log = logging.getLogger(__name__)

IN_FLIGHT_MAX: Final = 256
QUEUE_MAX: Final = 10_000
"""What doesn't fit waits in the journal and is taken from there when it is due again."""
ACK_TIMEOUT_S: Final = 5.0
REPUBLISH_AFTER_S: Final = 30.0
BEAT_EVERY_S: Final = 1.0
BEAT_TIMEOUT_S: Final = 2.0
FLUSH_BEAT_EVERY_S: Final = 0.05
BACKOFF_MIN_S: Final = 0.05
BACKOFF_MAX_S: Final = 2.0
_CONNECTION_POLL_S: Final = 0.1


class UsagePublisher:
    """Publishes what the journal has settled. `run` must be running; one for each journal."""

    def __init__(self, nc: LeanClient, journal: Journal, republish_after_s: float = REPUBLISH_AFTER_S) -> None:
        self._nc = nc
        self._journal = journal
        self._republish_after_s = republish_after_s
        self._queue: deque[Uncovered] = deque()
        self._in_flight: dict[str, Uncovered] = {}
        self._token = 0
        self._inbox = ""
        self._wake = asyncio.Event()
        self._backoff_s = 0.0
        self._reconnects_seen = 0
        self._cut_at_s = 0.0

    @property
    def pending(self) -> int:
        """Events that the broker has not acknowledged."""
        return len(self._queue) + len(self._in_flight)

    def publish(self, entry: Uncovered) -> None:
        """Send soon. Returns at once; `entry` is what `Journal.settled` returned."""
        if entry.queued or len(self._queue) >= QUEUE_MAX:
            return
        entry.queued = True
        self._queue.append(entry)
        self._wake.set()

    async def run(self) -> None:
        """Send, collect acks, ask for the watermark. Ends by cancellation."""
        self._inbox = self._nc.new_inbox()
        subscription = await self._subscribe()
        self._reconnects_seen = self._nc.stats["reconnects"]
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send_loop())
                tasks.create_task(self._watch_loop())
        finally:
            if not self._nc.is_closed and self._nc.is_connected:
                await subscription.unsubscribe()

    async def flush(self, timeout_s: float) -> bool:
        """Wait until billing has settled every event, at most `timeout_s`; False where some stay for the next boot."""
        deadline_s = monotonic_s() + timeout_s
        while self._journal.depth and monotonic_s() < deadline_s:
            await self._beat()
            await pause(FLUSH_BEAT_EVERY_S)
        return self._journal.depth == 0

    async def _subscribe(self) -> Subscription:
        return await self._nc.subscribe_direct(f"{self._inbox}.*", self._acknowledged)

    async def _send_loop(self) -> None:
        while True:
            self._wake.clear()
            while self._queue and len(self._in_flight) < IN_FLIGHT_MAX:
                if not self._nc.is_connected:
                    await pause(_CONNECTION_POLL_S)
                    continue
                if self._backoff_s:
                    await pause(self._backoff_s)
                entry = self._queue.popleft()
                if entry.covered:
                    entry.queued = False
                else:
                    await self._send(entry)
            await self._wake.wait()

    async def _send(self, entry: Uncovered) -> None:
        event = entry.event
        self._token += 1
        token = str(self._token)
        self._in_flight[token] = entry
        entry.sent_at_s = monotonic_s()
        reply = f"{self._inbox}.{token}"
        try:
            await self._nc.publish(
                usage_subject(event.account_id), entry.encoded, reply=reply, headers=usage_headers(event)
            )
        except (nats.errors.Error, OSError) as error:
            self._failed(token, repr(error))

    def _acknowledged(self, subject: str, data: bytes) -> None:
        token = subject.rpartition(".")[2]
        # A PubAck is {"stream":…,"seq":…}; a refusal has "error"; no stream at all is an empty message with status 503.
        if data and b'"error"' not in data:
            entry = self._in_flight.pop(token, None)
            if entry is not None:
                entry.queued = False
            self._backoff_s = 0.0
            self._wake.set()
        else:
            self._failed(token, data.decode("utf-8", "replace") or "no stream answers")

    def _failed(self, token: str, reason: str) -> None:
        """Back to the front of the queue, and slower from now on."""
        entry = self._in_flight.pop(token, None)
        if entry is None:
            return
        if not self._backoff_s:
            log.warning("usage events are not accepted", extra={"reason": reason})
        self._backoff_s = min(max(self._backoff_s * 2, BACKOFF_MIN_S), BACKOFF_MAX_S)
        self._queue.appendleft(entry)
        self._wake.set()

    async def _watch_loop(self) -> None:
        while True:
            await pause(BEAT_EVERY_S)
            self._notice_reconnect()
            self._retry_unacknowledged()
            self._journal.write_again()
            if self._journal.depth:
                await self._beat()
                self._republish()

    def _notice_reconnect(self) -> None:
        reconnects = self._nc.stats["reconnects"]
        if reconnects != self._reconnects_seen:
            # The broker may have lost what it acknowledged: all that is uncovered is due again.
            self._reconnects_seen = reconnects
            self._cut_at_s = monotonic_s()
            self._backoff_s = 0.0
            for entry in self._in_flight.values():
                entry.sent_at_s = 0.0

    def _retry_unacknowledged(self) -> None:
        oldest_s = monotonic_s() - ACK_TIMEOUT_S
        late = [token for token, entry in self._in_flight.items() if entry.sent_at_s < oldest_s]
        for token in late:
            self._queue.appendleft(self._in_flight.pop(token))
        if late:
            self._wake.set()

    def _republish(self) -> None:
        due_before_s = max(monotonic_s() - self._republish_after_s, self._cut_at_s)
        for entry in self._journal.uncovered_sent_before(due_before_s, QUEUE_MAX - len(self._queue)):
            self.publish(entry)

    async def _beat(self) -> None:
        journal = self._journal
        request = EpochBeat(edge_id=journal.edge_id, boot_epoch=journal.boot_epoch, last_seq=journal.last_seq)
        try:
            reply = await rpc.call(self._nc, EPOCHS_BEAT, request, EpochBeatReply, BEAT_TIMEOUT_S)
        except DomainError as error:
            log.info("no watermark from billing", extra={"error": str(error)})
            return
        journal.covered(reply.watermark)
