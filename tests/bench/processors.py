"""Which processor runs what: what is measured has one for itself, everything else shares the other.

Invariant: what is measured and its yardstick are pinned alike. Where the system can't pin (or has one processor), nothing is pinned and
the report says so.
"""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import psutil

NICE_BEHIND = 19
NICE_FIRST = -15


def pinnable() -> bool:
    """Whether this machine has two processors and lets us choose."""
    return hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) >= 2


class Processors:
    """The processor for what is measured, and the one for all else."""

    def __init__(self) -> None:
        self.pinned = pinnable()
        if self.pinned:
            self._measured, self._rest = sorted(os.sched_getaffinity(0))[:2]

    def keep_off(self) -> None:
        """Puts this process, and whatever it starts from now on, on the processor for all else."""
        if self.pinned:
            os.sched_setaffinity(0, {self._rest})

    def give(self, pid: int) -> None:
        """Gives a running process and all its threads the processor for what is measured."""
        if not self.pinned:
            return
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):  # a thread that has just ended
                os.sched_setaffinity(int(thread.name), {self._measured})


def step_back(pid: int) -> None:
    """Lets a process and its children run when nothing else wants to."""
    for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        _be_nice(process.pid, NICE_BEHIND)


def come_first(pid: int) -> None:
    """Lets a process run whenever it wants to: what measures must not wait. Only for root; nothing changes for others."""
    _be_nice(pid, NICE_FIRST)


def _be_nice(pid: int, nice: int) -> None:
    """A kernel that shares a processor among sessions first is told of the process's session too."""
    with contextlib.suppress(OSError):  # another kernel, or not allowed
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(ProcessLookupError, PermissionError):  # a thread that has just ended
            os.setpriority(os.PRIO_PROCESS, int(thread.name), nice)


def busy_s(pid: int) -> float:
    """Processor seconds that a process has used so far."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def cpu_s(pids: Sequence[int | None], *, family: bool = False) -> float:
    """Processor seconds that processes have used so far; with `family` those of their children too, also of those that have ended."""
    total = 0.0
    for pid in pids:
        process = psutil.Process(pid)
        times = process.cpu_times()
        total += times.user + times.system
        if family:
            total += times.children_user + times.children_system
            for child in process.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child_times = child.cpu_times()
                    total += child_times.user + child_times.system
    return total
