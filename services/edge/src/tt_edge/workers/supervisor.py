"""The parent of a group of workers: takes the port, starts them, starts the dead ones anew, hands SIGTERM on.

Each worker listens on a socket of its own on the same port. One socket for all would be drawn from by whoever is scheduled first: of 32
kept-alive connections that come together one worker of two often had 28, sometimes all. Never serves a call and never talks to NATS.
"""

import contextlib
import logging
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from tt_common.clock import monotonic_s
from tt_edge.workers.place import Place, bound

log = logging.getLogger(__name__)

TICK_S: Final = 0.05
BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MAX_S: Final = 30.0
# A worker that ran this long before it died starts again without a longer pause.
STABLE_S: Final = 60.0


class Slot:
    """The place of one worker in the group, and the process that has it now."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.process: subprocess.Popen[bytes] | None = None
        self.ready = False
        self.start_at_s = 0.0
        self._line: socket.socket | None = None
        self._started_at_s = monotonic_s()
        self._backoff_s = BACKOFF_FIRST_S

    def start(self, command: Sequence[str], workers: int, sockets_dir: Path) -> None:
        """Raises OSError."""
        self._line, theirs = socket.socketpair()
        self._line.setblocking(False)
        place = Place(self.index, workers, theirs.fileno(), sockets_dir)
        with theirs:
            # A session of its own: a Ctrl-C in a terminal reaches the supervisor alone, which then stops in order.
            self.process = subprocess.Popen(
                [*command, *place.arguments()],
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self.ready = False
        self._started_at_s = monotonic_s()

    def look(self) -> int | None:
        """Notices that the worker serves, or its death: then its exit status, once."""
        if self.process is None or self._line is None:
            return None
        if not self.ready:
            with contextlib.suppress(OSError):  # nothing yet, or broken
                self.ready = bool(self._line.recv(1))
        status = self.process.poll()
        if status is not None:
            self.process = None
            self._line.close()
        return status

    def pause(self) -> float:
        """Sets when to start again; the seconds until then, longer after each short life."""
        now_s = monotonic_s()
        if now_s - self._started_at_s > STABLE_S:
            self._backoff_s = BACKOFF_FIRST_S
        pause_s = self._backoff_s
        self.start_at_s = now_s + pause_s
        self._backoff_s = min(self._backoff_s * 2, BACKOFF_MAX_S)
        return pause_s


class Supervisor:
    """One group, for one run. Belongs to the main thread, which gets its signals."""

    def __init__(self, command: Sequence[str], workers: int, stop_s_max: float) -> None:
        """`command` starts a worker when its place is added; workers are killed `stop_s_max` after SIGTERM."""
        self._command = command
        self._stop_s_max = stop_s_max
        self._slots = [Slot(index) for index in range(workers)]
        self._stopping = threading.Event()
        self._complete = False

    def run(self, host: str, port: int) -> int:
        """Until SIGTERM or SIGINT, then 0. 1 where the port can't be had, a worker can't start while none serves or the group was never
        complete, or one had to be killed in the end.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        try:
            bound(host, port, shared=False).close()  # another edge would share its port with us unasked
            reserved = bound(host, port)
        except OSError as error:
            log.critical("port can't be had", extra={"host": host, "port": port, "error": str(error)})
            return 1
        with reserved, tempfile.TemporaryDirectory(prefix="tt-edge-") as folder:
            works = self._supervise(Path(folder))
            return 0 if self._end() and works else 1

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping.set()

    def _supervise(self, sockets_dir: Path) -> bool:
        """True when told to stop; False where the group can't work."""
        while not self._stopping.is_set():
            for slot in self._slots:
                status = slot.look()
                if status is not None and not self._may_go_on(slot, status):
                    return False
                if slot.process is None and monotonic_s() >= slot.start_at_s:
                    slot.start(self._command, len(self._slots), sockets_dir)
            self._complete = self._complete or all(slot.ready for slot in self._slots)
            self._stopping.wait(TICK_S)
        return True

    def _may_go_on(self, dead: Slot, status: int) -> bool:
        served, dead.ready = dead.ready, False
        facts = {"worker": dead.index, "exit_status": status}
        if not served and not (self._complete and any(slot.ready for slot in self._slots)):
            log.critical("worker can't start, giving up", extra=facts)
            return False
        log.error("worker died, starting it again", extra=facts | {"pause_s": dead.pause()})
        return True

    def _end(self) -> bool:
        """Drains every worker. False where one had to be killed."""
        running = [slot.process for slot in self._slots if slot.process is not None]
        log.info("draining workers", extra={"workers": len(running)})
        for process in running:
            process.send_signal(signal.SIGTERM)
        deadline_s = monotonic_s() + self._stop_s_max
        clean = True
        for process in running:
            try:
                process.wait(max(0.0, deadline_s - monotonic_s()))
            except subprocess.TimeoutExpired:
                log.critical("worker did not drain in time, killing it", extra={"pid": process.pid})
                process.kill()
                process.wait()
                clean = False
        return clean
