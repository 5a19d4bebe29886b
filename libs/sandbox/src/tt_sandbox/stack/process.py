"""One child process: started in its own session, logged to a file, stopped in bounded time.

Invariant: after `stop` or `kill` returns, the process and its descendants are gone. Never restarts anything by itself
and never puts a secret on a command line: secrets go through `env`.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

# Longer than a service's own drain, so that a stop is clean whenever it can be.
STOP_TIMEOUT_S = 40.0
STRAY_TIMEOUT_S = 15.0
KILLED_TIMEOUT_S = 5.0
PAUSE_TIMEOUT_S = 5.0
LOG_BYTES_MAX = 64 * 1024 * 1024
LOG_TAIL_LINES = 15
LOG_TAIL_BYTES = 16 * 1024
POLL_S = 0.05


class StartError(RuntimeError):
    """Something did not come up. The first line of the message says it all; the log's tail may follow."""

    def __init__(self, reason: str, log_path: Path | None = None) -> None:
        if log_path is not None:
            tail = log_tail(log_path)
            reason = f"{reason}: {tail.splitlines()[-1].strip()} (log: {log_path})\n{tail}"
        super().__init__(reason)


class ChildProcess:
    """A named child process. Not thread-safe: one thread owns it."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        log_path: Path,
        cwd: Path | None = None,
        pid_path: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        stop_timeout_s: float = STOP_TIMEOUT_S,
    ) -> None:
        """`env` is the child's whole environment; `pid_path` gets "pid create_time" while it runs."""
        self.name = name
        self.argv = list(argv)
        self.env = dict(env)
        self.log_path = log_path
        self.cwd = cwd
        self.pid_path = pid_path
        self.stop_signal = stop_signal
        self.stop_timeout_s = stop_timeout_s
        self.started_at = 0.0
        self._popen: subprocess.Popen[bytes] | None = None
        self._asked_to_stop = False

    @property
    def pid(self) -> int | None:
        """The running process's id, or None."""
        return self._popen.pid if self._popen is not None and self.running else None

    @property
    def running(self) -> bool:
        """True while the process has not exited (a paused one counts as running)."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The last exit code (negative: the signal), or None while running or before the first start."""
        return None if self._popen is None else self._popen.poll()

    def start(self) -> None:
        """Starts the process; does nothing when it already runs. Raises OSError when the program can't be executed."""
        if self.running:
            return
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self.trim_log()
        with self.log_path.open("ab") as log:
            self._popen = subprocess.Popen(
                self.argv,
                env=self.env,
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Its own session: a Ctrl-C in the terminal reaches the supervisor only, which then stops in order.
                start_new_session=True,
            )
        self._asked_to_stop = False
        self.started_at = time.time()
        if self.pid_path is not None:
            write_pid_file(self.pid_path, self._popen.pid)

    def ask_to_stop(self) -> None:
        """Sends the stop signal once, without waiting; `stop` then waits."""
        if self._popen is not None and self.running and not self._asked_to_stop:
            self._popen.send_signal(self.stop_signal)
            self.resume()
            self._asked_to_stop = True

    def stop(self) -> bool:
        """Asks the process to stop, kills it after `stop_timeout_s`. True when it stopped by itself. Idempotent."""
        popen = self._popen
        if popen is None or popen.poll() is not None:
            self._forget_pid()
            return True
        descendants = _descendants(popen.pid)
        self.ask_to_stop()
        try:
            popen.wait(self.stop_timeout_s)
            clean = True
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()
            clean = False
        _kill_all(descendants)
        self._forget_pid()
        return clean

    def wait(self, timeout_s: float) -> int | None:
        """Waits for the process to end by itself; its exit code, or None when it still runs."""
        if self._popen is None:
            return None
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """SIGKILL to the process and its descendants, as a crash of the machine would end them. Idempotent."""
        popen = self._popen
        if popen is not None and popen.poll() is None:
            descendants = _descendants(popen.pid)
            popen.kill()
            popen.wait()
            _kill_all(descendants)
        self._forget_pid()

    def pause(self) -> None:
        """SIGSTOP: the process keeps its sockets and answers nothing. Returns when it has really stopped."""
        if self._popen is not None and self.running:
            self._popen.send_signal(signal.SIGSTOP)
            deadline = time.monotonic() + PAUSE_TIMEOUT_S
            while psutil.Process(self._popen.pid).status() != psutil.STATUS_STOPPED and time.monotonic() < deadline:
                time.sleep(0.005)

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        if self._popen is not None and self.running:
            self._popen.send_signal(signal.SIGCONT)

    def trim_log(self) -> None:
        """Moves a log over its limit to `<name>.log.1`; safe while the child appends to it."""
        try:
            if self.log_path.stat().st_size <= LOG_BYTES_MAX:
                return
        except FileNotFoundError:
            return
        shutil.copyfile(self.log_path, self.log_path.with_name(self.log_path.name + ".1"))
        os.truncate(self.log_path, 0)

    def _forget_pid(self) -> None:
        if self.pid_path is not None:
            self.pid_path.unlink(missing_ok=True)


def log_tail(path: Path, lines: int = LOG_TAIL_LINES) -> str:
    """The last `lines` lines of a file, or a note that it is empty."""
    try:
        with path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - LOG_TAIL_BYTES))
            text = log.read().decode("utf-8", "replace")
    except FileNotFoundError:
        text = ""
    return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"


def write_pid_file(path: Path, pid: int) -> None:
    """Records a process by id and start time, so that a reused id is not taken for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(psutil.NoSuchProcess):
        path.write_text(f"{pid} {psutil.Process(pid).create_time()}\n")


def read_pid_file(path: Path) -> psutil.Process | None:
    """The live process a pid file names, or None when it is gone (or its id belongs to another by now)."""
    try:
        pid_text, created_text = path.read_text().split()
        process = psutil.Process(int(pid_text))
        alive = process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - float(created_text)) < 1.0
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return None
    return process if alive else None


def stop_stray(process: psutil.Process, *, fast_shutdown: bool) -> None:
    """Ends a process that is not our child, and its descendants: politely first (SIGINT for `fast_shutdown`)."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = [process, *process.children(recursive=True)]
        process.send_signal(signal.SIGINT if fast_shutdown else signal.SIGTERM)
        process.resume()
        deadline = time.monotonic() + STRAY_TIMEOUT_S
        while any(_alive(member) for member in family) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        _kill_all([member for member in family if _alive(member)])


def _alive(process: psutil.Process) -> bool:
    """False for a zombie too: an orphan's is reaped by whoever adopted it, in its own time."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _kill_all(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    deadline = time.monotonic() + KILLED_TIMEOUT_S
    while any(_alive(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(POLL_S)
