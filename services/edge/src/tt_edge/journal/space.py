"""The running epoch's space on disk: the segment being written, a spare one taken in advance, and the thread behind
both.

Invariant: a segment is deleted only after everything appended before the order is durable. A process crash loses
nothing; a power loss at most the last SYNC_EVERY_S of records. The loop's thread only appends; the slow disk work is
the thread's.
"""

import logging
import threading
from collections import deque
from pathlib import Path
from typing import Final

from tt_common.clock import monotonic_s
from tt_edge.journal.segment import SEGMENT_BYTES, SegmentWriter, segment_path

log = logging.getLogger(__name__)

SYNC_EVERY_S: Final = 0.05
SPARE_RETRY_S: Final = 1.0


class Space:
    """Writable segments of one epoch. `append`, `advance` and `doom` belong to one thread (the loop's)."""

    def __init__(self, folder: Path, boot_epoch: str, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Takes two segments. Raises OSError where the disk can't give them."""
        self._folder = folder
        self._boot_epoch = boot_epoch
        self._segment_bytes = segment_bytes
        self._number = 0
        self.current = self._make()
        self._spare: SegmentWriter | None = self._make()
        self._making = threading.Lock()
        self._next_try_s = 0.0
        self._retired: deque[SegmentWriter] = deque()
        self._doomed: deque[Path] = deque()
        self._dirty = False
        self._wake = threading.Event()
        self._stop = threading.Event()
        self.sync_failing = False
        """The disk did not confirm the last sync: nothing new should rely on it."""
        self._thread = threading.Thread(target=self._work, name="journal-sync", daemon=True)
        self._thread.start()

    @property
    def room(self) -> int:
        """Bytes that can still be appended for certain, in both segments together."""
        spare = self._spare
        return self.current.room + (spare.room if spare is not None else 0)

    def append(self, record: bytes) -> None:
        """Write to the current segment. Raises OSError."""
        self.current.append(record)
        if not self._dirty:
            self._dirty = True
            self._wake.set()

    def advance(self) -> bool:
        """Go on in the spare segment; False where there is none."""
        if self._spare is None:
            return False
        self._retired.append(self.current)
        self.current, self._spare = self._spare, None
        self._dirty = True
        self._wake.set()
        return True

    def take_spare(self) -> None:
        """Try to have a spare segment now; at most one try in SPARE_RETRY_S, because a full disk stays full for a
        while.
        """
        with self._making:
            if self._spare is not None or monotonic_s() < self._next_try_s:
                return
            try:
                self._spare = self._make()
            except OSError as error:
                self._next_try_s = monotonic_s() + SPARE_RETRY_S
                log.error("no space for the journal", extra={"error": str(error)})

    def doom(self, path: Path) -> None:
        """Delete a segment that is not being written, after the next sync."""
        self._doomed.append(path)
        self._dirty = True
        self._wake.set()

    def close(self) -> list[Path]:
        """Sync and stop; returns the files of the epoch that are still there."""
        self._stop.set()
        self._wake.set()
        self._thread.join()
        self._tidy()
        for writer in (self.current, self._spare):
            if writer is not None:
                writer.close()
        return sorted(self._folder.glob(f"{self._boot_epoch}-*"))

    def _make(self) -> SegmentWriter:
        self._number += 1
        return SegmentWriter(segment_path(self._folder, self._boot_epoch, self._number), self._segment_bytes)

    def _work(self) -> None:
        while not self._stop.is_set():
            self._wake.wait(None if self._spare is not None and not self.sync_failing else SPARE_RETRY_S)
            if self._spare is None:
                self.take_spare()
            self._wake.clear()
            self._stop.wait(SYNC_EVERY_S)
            self._tidy()

    def _tidy(self) -> None:
        self._dirty = False
        doomed = len(self._doomed)
        try:
            while self._retired:
                self._retired[0].sync()
                self._retired.popleft().close()
            self.current.sync()
            self.sync_failing = False
            for _ in range(doomed):
                self._doomed.popleft().unlink(missing_ok=True)
        except OSError as error:
            self.sync_failing = True
            log.error("the journal could not be synced", extra={"error": str(error)})
