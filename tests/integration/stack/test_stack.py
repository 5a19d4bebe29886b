"""The stack and its supervisor, with stand-ins for the services and real engines."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tt_sandbox.stack import Stack, StartError
from tt_sandbox.stack.ports import pick_free
from tt_sandbox.stack.process import read_pid_file

PORT_VARIABLES = (
    "EDGE_PORT",
    "CONSOLE_PORT",
    "BILLING_PORT",
    "DEPOSITS_PORT",
    "SANDBOX_PORT",
    "CHAIN_PORT",
    "NATS_PORT",
    "POSTGRES_PORT",
)
UP_TIMEOUT_S = 90


class CommandLine:
    """`python -m tt_sandbox.stack ...` on a fresh data folder and free ports."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.ports = {name: str(pick_free()) for name in PORT_VARIABLES}

    def run(self, command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        env = dict(os.environ) | self.ports | {"DATA_DIR": str(self.data_dir)} | variables
        argv = [sys.executable, "-m", "tt_sandbox.stack", command]
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=UP_TIMEOUT_S, check=False)

    def process(self, name: str) -> psutil.Process | None:
        return read_pid_file(self.data_dir / "run" / f"{name}.pid")


@pytest.fixture
def command_line(tmp_path: Path, standins: Path) -> Iterator[CommandLine]:
    line = CommandLine(tmp_path / "data")
    yield line
    line.run("down")


def wait_for_other(line: CommandLine, name: str, than: int) -> psutil.Process:
    """The process that replaced the one with id `than`."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        process = line.process(name)
        if process is not None and process.pid != than:
            return process
        time.sleep(0.1)
    raise AssertionError(f"{name} was not started again")


def test_every_service_gets_its_own_secrets_and_no_other(tmp_path: Path, standins: Path) -> None:
    stack = Stack(tmp_path / "data", edges=2, env={"edge": {"EDGE_LOG_LEVEL": "debug"}, "edge-1": {"EXTRA": "1"}})

    edge, other_edge = stack.service("edge-0").env, stack.service("edge-1").env
    billing, console, deposits = (stack.service(name).env for name in ("billing", "console", "deposits"))

    assert edge["EDGE_NATS_URL"] == stack.nats.user_url("edge")
    assert edge["EDGE_JOURNAL_DIR"] != other_edge["EDGE_JOURNAL_DIR"]
    assert edge["EDGE_LOG_LEVEL"] == "debug"
    assert ("EXTRA" in edge, "EXTRA" in other_edge) == (False, True)
    assert not any("DATABASE_URL" in name for name in edge)
    assert [name for name in billing if "DATABASE_URL" in name] == ["BILLING_DATABASE_URL"]
    assert [name for name in console if "DATABASE_URL" in name] == ["CONSOLE_DATABASE_URL"]
    assert "tt_billing_app" in billing["BILLING_DATABASE_URL"]
    assert [name for name in deposits if "DATABASE_URL" in name] == ["DEPOSITS_DATABASE_URL"]
    assert deposits["DEPOSITS_NATS_URL"] == stack.nats.user_url("deposits")
    assert f"{stack.chain_url}/nodes/a" in deposits["DEPOSITS_NODES"]
    assert billing["BILLING_DEPOSITS_NETWORK"] == deposits["DEPOSITS_NETWORK"] == "sandbox"


def test_billing_books_the_network_that_deposits_is_told_to_watch(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "data", env={"deposits": {"DEPOSITS_NETWORK": "nile"}})
    assert stack.service("billing").env["BILLING_DEPOSITS_NETWORK"] == "nile"


def test_a_stack_without_deposits_has_no_chain_either(tmp_path: Path, standins: Path) -> None:
    with Stack(tmp_path / "data", deposits=False) as stack:
        assert [service.name for service in stack.services] == ["sandbox", "billing", "edge-0", "console"]
        assert all(httpx.get(f"{service.url}/readyz").status_code == 200 for service in stack.services)


def test_services_can_be_killed_paused_and_restarted_one_by_one(tmp_path: Path, standins: Path) -> None:
    with Stack(tmp_path / "data", edges=2) as stack:
        first, second = stack.edges
        first.kill()
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{first.url}/readyz")
        assert httpx.get(f"{second.url}/readyz").status_code == 200
        first.restart()
        assert httpx.get(f"{first.url}/readyz").status_code == 200

        second.pause()
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{second.url}/readyz", timeout=0.3)
        second.resume()
        assert httpx.get(f"{second.url}/readyz").status_code == 200

        assert stack.demo_key() == "sk-demo"
        processes = [psutil.Process(service.process.pid) for service in stack.services]
    assert not any(process.is_running() for process in processes)


@pytest.mark.parametrize("command", ["MIGRATE", "SERVE", "SEED"])
def test_start_that_fails_names_the_reason_and_leaves_nothing_running(
    tmp_path: Path, standins: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv(f"FAIL_{command}", "1")
    stack = Stack(tmp_path / "data")

    with pytest.raises(StartError, match=f"was told to fail at {command.lower()}.*log: "):
        stack.start()

    assert not stack.postgres.process.running
    assert not stack.nats.process.running
    assert not any(service.process.running for service in stack.services)


def test_detached_stack_is_reported_keeps_its_key_and_stops(command_line: CommandLine) -> None:
    up = command_line.run("up", DETACH="1")
    assert up.returncode == 0, up.stderr + up.stdout
    assert f"http://127.0.0.1:{command_line.ports['EDGE_PORT']}/v1" in up.stdout
    assert command_line.run("demo-key").stdout == "sk-demo\n"
    assert (command_line.data_dir / "demo-key").stat().st_mode & 0o777 == 0o600
    assert (command_line.data_dir / "secrets.json").stat().st_mode & 0o777 == 0o600
    status = command_line.run("status")
    assert status.returncode == 0
    assert status.stdout.count("running") == 9
    assert "already runs" in command_line.run("up").stdout

    down = command_line.run("down")

    assert (down.returncode, down.stdout.split()[-1]) == (0, "Stopped.")
    assert command_line.run("status").returncode == 1
    assert command_line.process("postgres") is None
    assert command_line.run("reset", YES="1").returncode == 0
    assert not command_line.data_dir.exists()


def test_supervisor_starts_again_what_dies(command_line: CommandLine) -> None:
    assert command_line.run("up", DETACH="1").returncode == 0
    edge, nats = command_line.process("edge-0"), command_line.process("nats")
    assert edge is not None
    assert nats is not None

    edge.kill()
    nats.kill()

    assert wait_for_other(command_line, "edge-0", edge.pid).is_running()
    assert wait_for_other(command_line, "nats", nats.pid).is_running()
    assert "edge-0     died" in (command_line.data_dir / "logs" / "supervisor.log").read_text()


def test_up_after_the_supervisor_was_killed_takes_over(command_line: CommandLine) -> None:
    assert command_line.run("up", DETACH="1").returncode == 0
    supervisor, edge = command_line.process("supervisor"), command_line.process("edge-0")
    assert supervisor is not None
    assert edge is not None
    supervisor.kill()

    again = command_line.run("up", DETACH="1")

    assert again.returncode == 0, again.stderr + again.stdout
    assert "left over from an earlier run" in again.stdout
    assert not edge.is_running() or edge.status() == psutil.STATUS_ZOMBIE


def test_busy_port_gets_one_line_with_the_variable_and_the_culprit(command_line: CommandLine) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", int(command_line.ports["EDGE_PORT"])))
        squatter.listen()
        up = command_line.run("up")

    assert up.returncode == 1
    assert len(up.stderr.splitlines()) == 1
    assert f"port {command_line.ports['EDGE_PORT']} for the edge is taken by" in up.stderr
    assert f"pid {os.getpid()}" in up.stderr
    assert "EDGE_PORT=" in up.stderr


def test_up_that_fails_midway_gives_one_line_and_stops_what_it_started(command_line: CommandLine) -> None:
    up = command_line.run("up", FAIL_SEED="1")

    assert up.returncode == 1
    assert len(up.stderr.splitlines()) == 1
    assert "console-seed failed" in up.stderr
    assert str(command_line.data_dir / "logs" / "console-seed.log") in up.stderr
    assert command_line.process("postgres") is None


def test_interrupt_stops_a_foreground_stack_cleanly(command_line: CommandLine) -> None:
    env = dict(os.environ) | command_line.ports | {"DATA_DIR": str(command_line.data_dir)}
    up = subprocess.Popen([sys.executable, "-m", "tt_sandbox.stack", "up"], env=env, stdout=subprocess.PIPE, text=True)
    assert up.stdout is not None
    seen: list[str] = []
    for line in up.stdout:
        seen.append(line)
        if "To stop:" in line:
            break
    postgres = command_line.process("postgres")
    assert postgres is not None, "".join(seen)

    up.terminate()
    rest = up.communicate(timeout=60)[0]

    assert (up.returncode, rest.split()[-1]) == (0, "stopped")
    assert not postgres.is_running()
    assert "database system is shut down" in (command_line.data_dir / "logs" / "postgres.log").read_text()
