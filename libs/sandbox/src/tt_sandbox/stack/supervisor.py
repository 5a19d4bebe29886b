"""Keeps a started stack alive: restarts what dies, with growing pauses, and what changed on disk under `make dev`.

Invariant: one supervisor a data folder, held by a lock that the kernel frees when the supervisor dies.
"""

import fcntl
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from tt_sandbox.stack.folders import DataFolder
from tt_sandbox.stack.process import ChildProcess, StartError, read_pid_file, stop_stray
from tt_sandbox.stack.settings import PROJECT_DIR
from tt_sandbox.stack.stack import STOP_ORDER, Stack

TICK_S = 0.5
BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 30.0
# A process that ran this long before it died starts again without a longer pause.
STABLE_S = 60.0
SOURCES = {
    "edge": ("libs/common/src", "services/edge/src"),
    "billing": ("libs/common/src", "services/billing/src"),
    "deposits": ("libs/common/src", "services/deposits/src"),
    "console": ("libs/common/src", "services/console-api/src"),
    "sandbox": ("libs/sandbox/src/tt_sandbox/provider",),
    "chain": ("libs/common/src", "libs/sandbox/src/tt_sandbox/chain"),
}


class AlreadyRunning(Exception):
    """Another supervisor holds the data folder."""


class FolderLock:
    """The right to run a stack in a data folder."""

    def __init__(self, folder: DataFolder) -> None:
        """Raises AlreadyRunning."""
        folder.create()
        self._file = (folder.run / "lock").open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise AlreadyRunning from error

    def release(self) -> None:
        """Frees the folder."""
        self._file.close()


def stop_leftovers(folder: DataFolder, say: Callable[[str], None]) -> None:
    """Ends processes of an earlier supervisor that was killed. Call only under the lock."""
    names = [path.stem for path in folder.run.glob("*.pid") if path.stem != "supervisor"]
    for name in sorted(names, key=lambda name: STOP_ORDER.index(name.split("-")[0])):
        process = read_pid_file(folder.pid(name))
        if process is not None:
            say(f"{name:<10} left over from an earlier run (pid {process.pid}), stopping it")
            stop_stray(process, fast_shutdown=name == "postgres")
        folder.pid(name).unlink(missing_ok=True)


class Watched:
    """One process and when it may start again."""

    def __init__(self, name: str, process: ChildProcess, start: Callable[[], None]) -> None:
        self.name = name
        self.process = process
        self._start = start
        self._backoff_s = BACKOFF_FIRST_S
        self._start_at: float | None = None

    def check(self, now: float, say: Callable[[str], None]) -> None:
        """Notices a death, and starts again when the pause is over. `now` is monotonic."""
        self.process.trim_log()
        if self.process.running:
            return
        if self._start_at is None:
            if time.time() - self.process.started_at > STABLE_S:
                self._backoff_s = BACKOFF_FIRST_S
            self._start_at = now + self._backoff_s
            say(
                f"{self.name:<10} died (exit {self.process.exit_code}), starting again in {self._backoff_s:.0f} s;"
                f" log: {self.process.log_path}"
            )
            self._backoff_s = min(self._backoff_s * 2, BACKOFF_MAX_S)
        elif now >= self._start_at:
            self._start_at = None
            try:
                self._start()
                say(f"{self.name:<10} started again")
            except StartError as error:
                say(f"{self.name:<10} {str(error).splitlines()[0]}")


class Supervisor:
    """Runs the loop that keeps a stack alive."""

    def __init__(self, stack: Stack, say: Callable[[str], None], *, reload: bool = False) -> None:
        self._say = say
        self._stack = stack
        self._watched = [
            Watched("postgres", stack.postgres.process, stack.postgres.start),
            Watched("nats", stack.nats.process, stack.nats.start),
            *(Watched(service.name, service.process, service.launch) for service in stack.services),
        ]
        self._sources = SourceWatch() if reload else None

    def run(self) -> NoReturn:
        """Never returns; a KeyboardInterrupt ends it and leaves the stack running."""
        while True:
            time.sleep(TICK_S)
            for watched in self._watched:
                watched.check(time.monotonic(), self._say)
            if self._sources is not None:
                self._restart_changed(self._sources.changed())

    def _restart_changed(self, kinds: set[str]) -> None:
        for service in self._stack.services:
            if service.name.split("-")[0] in kinds:
                self._say(f"{service.name:<10} source changed, restarting")
                service.stop()
                service.process.start()


class SourceWatch:
    """Modification times of the services' sources."""

    def __init__(self) -> None:
        self._seen = {kind: _newest(kind) for kind in SOURCES}

    def changed(self) -> set[str]:
        """The kinds of service whose sources changed since the last call."""
        now = {kind: _newest(kind) for kind in SOURCES}
        kinds = {kind for kind in SOURCES if now[kind] != self._seen[kind]}
        self._seen = now
        return kinds


def _newest(kind: str) -> tuple[int, int]:
    """How many files there are, and the newest one's time: a file taken away counts as a change too."""
    files = [path for source in SOURCES[kind] for path in (PROJECT_DIR / source).rglob("*.py")]
    times = [modified_ns for path in files if (modified_ns := _modified_ns(path)) is not None]
    return len(times), max(times, default=0)


def _modified_ns(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
