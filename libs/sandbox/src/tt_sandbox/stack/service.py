"""One HTTP service of the stack: a child process that is ready when its /readyz says so."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from tt_sandbox.stack.ports import HOST, is_free
from tt_sandbox.stack.process import POLL_S, ChildProcess, StartError

READY_TIMEOUT_S = 60.0
# Workers of a process that was killed hold its port for a moment longer.
PORT_TIMEOUT_S = 5.0


class Service:
    """A service on 127.0.0.1. Restarts only when told to."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        port: int,
        *,
        env: Mapping[str, str],
        log_path: Path,
        cwd: Path,
        pid_path: Path,
    ) -> None:
        self.name = name
        self.port = port
        self.url = f"http://{HOST}:{port}"
        self.process = ChildProcess(name, argv, env=env, log_path=log_path, cwd=cwd, pid_path=pid_path)

    @property
    def env(self) -> dict[str, str]:
        """The environment of the next start; may be changed."""
        return self.process.env

    def launch(self) -> None:
        """Starts the process without waiting. Raises StartError when the port is taken, by its own last run for long. Idempotent."""
        if self.process.running:
            return
        deadline = time.monotonic() + (0.0 if self.process.exit_code is None else PORT_TIMEOUT_S)
        while not is_free(self.port):
            if time.monotonic() >= deadline:
                raise StartError(f"port {self.port} is taken, {self.name} can't start")
            time.sleep(POLL_S)
        self.process.start()

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Returns when /readyz answers 200. Raises StartError, the process stopped or not."""
        deadline = time.monotonic() + timeout_s
        reason = "no answer"
        while True:
            if not self.process.running:
                raise StartError(f"{self.name} exited with {self.process.exit_code}", self.process.log_path)
            try:
                answer = httpx.get(f"{self.url}/readyz", timeout=2.0, trust_env=False)
                if answer.status_code == 200:
                    return
                reason = answer.text[:200]
            except httpx.HTTPError as error:
                reason = str(error)
            if time.monotonic() > deadline:
                raise StartError(f"{self.name} was not ready in {timeout_s:.0f} s ({reason})", self.process.log_path)
            time.sleep(POLL_S)

    def start(self) -> None:
        """Starts and waits until ready. Idempotent."""
        self.launch()
        self.wait_ready()

    def stop(self) -> None:
        """Stops cleanly, or by force after the time limit. Idempotent."""
        self.process.stop()

    def restart(self) -> None:
        """Stops if running, then starts and waits until ready."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def pause(self) -> None:
        """SIGSTOP."""
        self.process.pause()

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        self.process.resume()
