"""docker and docker compose as the trial uses them. COMPOSE names the command (default `docker compose`)."""

import json
import os
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any, Final

from tests.tidy.project import ROOT

COMPOSE: Final = shlex.split(os.environ.get("COMPOSE", "docker compose"))
HEALTHY_TIMEOUT_S: Final = 240.0
POLL_S: Final = 0.5


def run(*argv: str, timeout_s: float = 300.0) -> str:
    """Standard output of a command. Raises AssertionError with what it said where it fails."""
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, f"{shlex.join(argv)}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


def compose(*argv: str, timeout_s: float = 300.0) -> str:
    return run(*COMPOSE, *argv, timeout_s=timeout_s)


def containers(service: str) -> list[str]:
    """Ids of a service's containers, running or not."""
    return compose("ps", "-q", service).split()


def inside(service: str, *argv: str) -> str:
    """Standard output of a command in one of the service's containers."""
    return run("docker", "exec", containers(service)[0], *argv)


def inspect(container: str) -> dict[str, Any]:
    return json.loads(run("docker", "inspect", container))[0]


def address(container: str) -> str:
    """An address at which this machine reaches the container."""
    networks: dict[str, dict[str, str]] = inspect(container)["NetworkSettings"]["Networks"]
    return next(network["IPAddress"] for network in networks.values() if network["IPAddress"])


def wait_healthy(*services: str) -> None:
    """Until every container of these services says that it is healthy."""
    deadline = time.monotonic() + HEALTHY_TIMEOUT_S
    while sick := [
        f"{service} {state}"
        for service in services
        for each in containers(service)
        if (state := _health(each)) != "healthy"
    ]:
        assert time.monotonic() < deadline, f"not healthy: {sick}"
        time.sleep(POLL_S)


def _health(container: str) -> str:
    state = inspect(container)["State"]
    return state.get("Health", {}).get("Status", "no health check") if state["Running"] else state["Status"]


def kill_as_a_crash(container: str) -> None:
    """SIGKILL to the process, not through docker: so the restart policy sees a crash."""
    os.kill(inspect(container)["State"]["Pid"], 9)


def environment() -> dict[str, str]:
    """The variables of .env."""
    lines = Path(ROOT / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
