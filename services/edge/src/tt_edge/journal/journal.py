"""The running epoch of one worker: what it started, what it settled, and what of that billing has not yet confirmed.

Invariant: once `settled` has returned, the event survives a crash of the process and stays here until billing's
watermark covers it. Never asks the broker anything and never waits for the disk: one write a record, synced in the
background (see `space`).
"""

import logging
import secrets
from collections import deque
from pathlib import Path
from typing import Final

import msgspec

from tt_common.clock import monotonic_s
from tt_common.contracts.events import UsageEvent
from tt_common.errors import DomainError
from tt_edge.journal import segment
from tt_edge.journal.folders import Folder
from tt_edge.journal.segment import SEGMENT_BYTES, SegmentHeader, Started, frame
from tt_edge.journal.space import Space

log = logging.getLogger(__name__)

RESERVE_BYTES: Final = 2 * 1024 * 1024
"""Never used by `started`, besides SETTLED_RESERVE_BYTES for each open call."""
SETTLED_RESERVE_BYTES: Final = 4096
UNCOVERED_MAX: Final = 100_000
CARRY_AFTER_SEGMENTS: Final = 4
"""With more segments than this, long calls no longer keep the oldest: their `started` records move on."""

_encoder = msgspec.json.Encoder()


class JournalFull(DomainError):
    """The journal can't promise to keep another call; nothing may be called."""

    def __init__(self, message: str) -> None:
        super().__init__("journal_unavailable", message)


class Uncovered:
    """A settled event that billing has not confirmed. The publisher keeps `sent_at_s` (monotonic) and `queued`."""

    __slots__ = ("covered", "encoded", "event", "queued", "sent_at_s")

    def __init__(self, event: UsageEvent, encoded: bytes) -> None:
        self.event = event
        self.encoded = encoded
        self.sent_at_s = monotonic_s()
        self.queued = False
        self.covered = False


class _Segment:
    """What must be known of a segment to let it go."""

    __slots__ = ("last_seq", "open_calls", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.open_calls: dict[str, bytes] = {}
        self.last_seq = 0


class Journal:
    """One boot epoch's journal in a held folder. All methods are synchronous and belong to the loop's thread."""

    def __init__(self, folder: Folder, segment_bytes: int = SEGMENT_BYTES, reserve_bytes: int = RESERVE_BYTES) -> None:
        """Starts a new epoch. Raises OSError where the disk has no room for two segments."""
        self.folder = folder
        self.edge_id = folder.edge_id
        self.boot_epoch = secrets.token_hex(8)
        self.watermark = 0
        self.unsettled_nanousd = 0
        """The cost of all uncovered events: what is at risk while billing is away."""
        self._reserve_bytes = reserve_bytes
        self._seq = 0
        self._recorded_seq = 0
        self._recorded_nanousd = 0
        self._uncovered: deque[Uncovered] = deque()
        self._unwritten: deque[bytes] = deque()
        """Settled records that the disk has refused so far. No more than calls were open when it began to."""
        self._open: dict[str, _Segment] = {}
        self._space = Space(folder.path, self.boot_epoch, segment_bytes)
        self._segments: deque[_Segment] = deque()
        self._header_due = b""
        self._begin_segment()

    @property
    def last_seq(self) -> int:
        """The highest sequence number made."""
        return self._seq

    @property
    def cost_nanousd(self) -> int:
        """The cost of all events of this epoch."""
        return self._recorded_nanousd

    @property
    def depth(self) -> int:
        """Events that billing has not confirmed."""
        return len(self._uncovered)

    @property
    def open_calls(self) -> int:
        """Calls that are started and not settled."""
        return len(self._open)

    def started(self, call: Started) -> None:
        """Record that a provider is about to be called. Raises JournalFull; then nothing may be called.

        Once it has returned, there is room on disk for the call's `settled`.
        """
        record = frame(segment.STARTED, _encoder.encode(call))
        if len(self._uncovered) >= UNCOVERED_MAX:
            raise JournalFull("too many usage events wait for billing")
        if self._space.sync_failing or not self.write_again():
            raise JournalFull("the disk of the journal fails")
        needed = self._reserve_bytes + (len(self._open) + 1) * SETTLED_RESERVE_BYTES + len(record)
        if self._space.room < needed:
            self._space.take_spare()
            if self._space.room < needed:
                raise JournalFull("no space left for the journal")
        try:
            self._append(record)
        except OSError as error:
            log.error("the journal could not be written", extra={"error": str(error)})
            raise JournalFull("the journal could not be written") from error
        current = self._segments[-1]
        current.open_calls[call.id] = record
        self._open[call.id] = current

    def next_seq(self) -> int:
        """The sequence number of the next event, contiguous from 1.

        Nothing that can fail or wait may stand before `settled`.
        """
        self._seq += 1
        return self._seq

    def settled(self, event: UsageEvent, encoded: bytes, call_id: str | None = None) -> Uncovered:
        """Record an event (`encoded` is its JSON) and keep it until it is covered. Hand the result to the publisher.

        `call_id` is the id it was started under, where the event has another (see `domain.event_ids`).

        Never raises for the disk: if even the reserve can't be written, the event lives in memory until `write_again`
        succeeds, and that is logged.
        """
        try:
            record = frame(segment.SETTLED, encoded)
            try:
                self._append(record)
            except OSError:
                self._unwritten.append(record)
                raise
        except (OSError, ValueError) as error:
            log.critical("a usage event is in memory only", extra={"event_id": event.id, "error": str(error)})
        self._recorded_seq = event.edge_seq
        self._recorded_nanousd += event.cost_nanousd
        self._segments[-1].last_seq = event.edge_seq
        begun_in = self._open.pop(call_id or event.id, None)
        if begun_in is not None:
            del begun_in.open_calls[call_id or event.id]
        entry = Uncovered(event, encoded)
        self._uncovered.append(entry)
        self.unsettled_nanousd += event.cost_nanousd
        return entry

    def write_again(self) -> bool:
        """Write what the disk has refused; False where it still refuses. After it a crash finds those calls settled."""
        while self._unwritten:
            try:
                self._append(self._unwritten[0])
            except OSError:
                return False
            self._unwritten.popleft()
        return True

    def covered(self, watermark: int) -> None:
        """Billing has every event up to `watermark`: forget them. A lower watermark than before changes nothing."""
        uncovered = self._uncovered
        while uncovered and uncovered[0].event.edge_seq <= watermark:
            entry = uncovered.popleft()
            entry.covered = True
            self.unsettled_nanousd -= entry.event.cost_nanousd
        self.watermark = max(self.watermark, watermark)
        self._trim()

    def uncovered_sent_before(self, moment_s: float, count_max: int) -> list[Uncovered]:
        """At most `count_max` events, oldest first, last sent before `moment_s` (monotonic) and not waiting to be
        sent.
        """
        due: list[Uncovered] = []
        for entry in self._uncovered:
            if len(due) >= count_max:
                break
            if not entry.queued and entry.sent_at_s < moment_s:
                due.append(entry)
        return due

    def close(self, epoch_closed: bool = False) -> None:
        """Sync and end. With `epoch_closed` (billing has answered CloseEpoch) and nothing open, the files go too.

        The folder stays held; release it afterwards.
        """
        self.write_again()
        files = self._space.close()
        if epoch_closed and not self._open and not self._uncovered:
            for path in files:
                path.unlink(missing_ok=True)

    def _append(self, record: bytes) -> None:
        if len(record) > self._space.current.room:
            self._next_segment()
        try:
            self._put(record)
        except OSError as error:
            log.error("journal segment given up", extra={"file": self._segments[-1].path.name, "error": str(error)})
            self._next_segment()
            self._put(record)

    def _put(self, record: bytes) -> None:
        """With the segment's header before its first record, also where the disk refused it at first."""
        if self._header_due:
            self._space.append(self._header_due)
            self._header_due = b""
        self._space.append(record)

    def _next_segment(self) -> None:
        if not self._space.advance():
            self._space.take_spare()
            if not self._space.advance():
                raise OSError("no spare journal segment")
        self._begin_segment()

    def _begin_segment(self) -> None:
        self._segments.append(_Segment(self._space.current.path))
        header = SegmentHeader(self._recorded_seq, self._recorded_nanousd)
        self._header_due = frame(segment.HEADER, _encoder.encode(header))

    def _trim(self) -> None:
        """Let the oldest segments go, strictly in order: a `settled` must not go before its `started`."""
        while len(self._segments) > 1 and self._segments[0].last_seq <= self.watermark:
            oldest = self._segments[0]
            if oldest.open_calls and not self._carry(oldest):
                return
            self._segments.popleft()
            self._space.doom(oldest.path)

    def _carry(self, oldest: _Segment) -> bool:
        size = sum(map(len, oldest.open_calls.values()))
        if len(self._segments) <= CARRY_AFTER_SEGMENTS or self._space.current.room < size + self._reserve_bytes:
            return False
        current = self._segments[-1]
        for event_id, record in list(oldest.open_calls.items()):
            try:
                self._put(record)
            except OSError as error:
                log.error("journal segment not carried over", extra={"error": str(error)})
                return False
            current.open_calls[event_id] = oldest.open_calls.pop(event_id)
            self._open[event_id] = current
        return True
