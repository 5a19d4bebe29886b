"""The supervisor of a group, with real processes that stand for workers."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import eventually
from tt_edge.workers.supervisor import BACKOFF_FIRST_S, BACKOFF_MAX_S, Slot
from tt_sandbox.stack.ports import HOST, pick_free

FAKE_WORKER = Path(__file__).with_name("fake_worker.py")
WORKERS = 2
STOP_S_MAX = 3.0
RUN = """
import sys
from tt_edge.workers.supervisor import Supervisor
workers, stop_s_max, port, *command = sys.argv[1:]
sys.exit(Supervisor(command, int(workers), float(stop_s_max)).run("127.0.0.1", int(port)))
"""


class Group:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = pick_free()
        self.process: subprocess.Popen[bytes]

    def start(self, mode: str, stop_s_max: float = STOP_S_MAX) -> None:
        worker = [sys.executable, str(FAKE_WORKER), str(self.folder), mode, str(self.port)]
        arguments = [str(WORKERS), str(stop_s_max), str(self.port), *worker]
        self.process = subprocess.Popen([sys.executable, "-c", RUN, *arguments])

    def noted(self, what: str, times: int = 1) -> None:
        """Waits until both workers have done it that often in all."""
        eventually(lambda: self.count(what) >= times, f"{what} {times} times")

    def count(self, what: str) -> int:
        return sum(path.stat().st_size for path in self.folder.glob(f"{what}-*"))

    def accepts(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), 1.0).close()
        except OSError:
            return False
        return True


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    group = Group(tmp_path)
    yield group
    if group.process.poll() is None:
        group.process.terminate()
        group.process.wait(10)


def test_sigterm_drains_every_worker_and_closes_the_port(group: Group) -> None:
    group.start("serves")
    group.noted("served", WORKERS)
    assert group.accepts()

    group.process.send_signal(signal.SIGTERM)

    assert group.process.wait(10) == 0
    assert group.count("drained") == WORKERS
    assert not group.accepts()


def test_a_port_that_is_taken_ends_the_group_before_a_worker_starts(group: Group) -> None:
    with socket.create_server((HOST, group.port)):
        group.start("serves")

        assert group.process.wait(10) == 1
    assert group.count("started") == 0


def test_two_groups_never_share_a_port(group: Group, tmp_path: Path) -> None:
    group.start("serves")
    group.noted("served", WORKERS)
    second = Group(tmp_path / "second")
    second.port = group.port

    second.start("serves")

    assert second.process.wait(10) == 1


def test_a_worker_that_cannot_start_ends_the_group(group: Group) -> None:
    group.start("fails")

    assert group.process.wait(10) == 1
    assert group.count("drained") == group.count("served"), "the other one was told to drain"


def test_a_worker_that_dies_is_started_again_and_the_others_go_on(group: Group) -> None:
    group.start("dies")

    group.noted("served", WORKERS + 1)

    assert group.process.poll() is None
    assert group.count("drained") == 0
    assert group.accepts()


def test_a_worker_that_does_not_drain_is_killed_in_the_end(group: Group) -> None:
    group.start("stubborn", stop_s_max=0.1)
    group.noted("served", WORKERS)

    group.process.send_signal(signal.SIGTERM)

    assert group.process.wait(10) == 1
    assert not group.accepts()


def test_workers_drain_by_themselves_when_their_supervisor_is_killed(group: Group) -> None:
    group.start("serves")
    group.noted("served", WORKERS)

    group.process.kill()

    group.noted("drained", WORKERS)
    assert not group.accepts()


def test_a_worker_that_keeps_dying_is_started_ever_more_slowly() -> None:
    slot = Slot(0)

    pauses = [slot.pause() for _ in range(8)]

    assert pauses[:3] == [BACKOFF_FIRST_S, 2 * BACKOFF_FIRST_S, 4 * BACKOFF_FIRST_S]
    assert pauses[-1] == BACKOFF_MAX_S
