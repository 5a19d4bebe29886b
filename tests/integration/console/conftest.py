"""One PostgreSQL, one NATS, one serving console-api for the session; billing and deposits are fakes on the real bus."""

import asyncio
import contextlib
import io
import itertools
import logging
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from unittest import mock

import httpx
import msgspec
import nats.js.errors
import psycopg
import pytest
from nats.aio.client import Client

from tests.integration.console.fake_billing import FakeBilling
from tests.integration.console.fake_deposits import FakeDeposits
from tests.support.nats_log import refusals
from tt_common.bus.connection import connect
from tt_common.contracts.records import KeyRecord
from tt_common.contracts.streams import KEYS
from tt_common.deploy import deploy
from tt_common.ids import sha256_hex
from tt_console.main import main
from tt_sandbox.stack import EmbeddedNats, EmbeddedPostgres
from tt_sandbox.stack.ports import pick_free

PROJECT = Path(__file__).parents[3]
WAIT_S = 15.0
_numbers = itertools.count(1)

T = TypeVar("T")


class Bus:
    """A NATS connection with a loop of its own, so that tests can be plain functions."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.nc: Client = self.run(connect(url, "tests"))
        self.js = self.nc.jetstream(timeout=5)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    def close(self) -> None:
        self.run(self.nc.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def value(self, bucket_key: str) -> dict[str, Any] | None:
        """The newest value under `$KV.…`, or None."""
        stream = f"KV_{bucket_key.split('.')[1]}"
        try:
            message = self.run(self.js.get_last_msg(stream, bucket_key))
        except nats.js.errors.NotFoundError:
            return None
        return msgspec.json.decode(message.data or b"")


class Output(NamedTuple):
    """What a command said."""

    stdout: str
    stderr: str


@dataclass
class Deployment:
    """What the tests talk to."""

    url: str
    env: dict[str, str]
    bus: Bus
    billing: FakeBilling
    deposits: FakeDeposits
    app_url: str
    owner_url: str
    superuser_url: str
    log_path: Path
    process: subprocess.Popen[bytes] | None = None

    def command(self, *arguments: str, **env: str) -> Output:
        """The command in this process (importing everything anew costs seconds), checked to succeed."""
        stdout, stderr = io.StringIO(), io.StringIO()
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        patched = mock.patch.dict(os.environ, self.env | env, clear=True)
        working = contextlib.chdir(PROJECT)
        try:
            with patched, working, contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
                code = main([*arguments])
        finally:
            root.handlers[:], root.level = handlers, level
        assert code == 0, stderr.getvalue()
        return Output(stdout.getvalue(), stderr.getvalue())

    def shell(self, *arguments: str) -> Output:
        """The command in a process of its own."""
        argv = [sys.executable, "-m", "tt_console", *arguments]
        done = subprocess.run(argv, env=self.env, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True)
        return Output(done.stdout, done.stderr)

    def start_serving(self) -> None:
        with self.log_path.open("ab") as log:
            argv = [sys.executable, "-m", "tt_console", "serve"]
            self.process = subprocess.Popen(argv, env=self.env, cwd=PROJECT, stdout=log, stderr=log)

    def stop_serving(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)

    def restart_serving(self) -> None:
        self.stop_serving()
        self.start_serving()
        wait_until(lambda: _answers(f"{self.url}/healthz"), 30)

    def key_record(self, plaintext: str) -> KeyRecord | None:
        found = self.bus.value(KEYS.subject(sha256_hex(plaintext)))
        return None if found is None else msgspec.convert(found, KeyRecord)

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """As the runtime role."""
        with psycopg.connect(self.app_url) as connection:
            return connection.execute(statement.encode(), values).fetchall()


class Browser:
    """An HTTP client with a cookie jar and an address of its own; sends the CSRF token once signed in."""

    def __init__(self, deployment: Deployment) -> None:
        number = next(_numbers)
        self.email = f"user{number}@example.com"
        self.password = "correct horse battery"
        self.address = f"198.51.100.{number}"
        self.http = httpx.Client(
            base_url=f"{deployment.url}/api/v1",
            headers={"X-Forwarded-For": self.address},
            trust_env=False,
            timeout=WAIT_S,
        )
        self.account_id = ""

    def sign_up(self) -> "Browser":
        self._signed_in(self.http.post("/auth/signup", json={"email": self.email, "password": self.password}))
        return self

    def log_in(self, email: str | None = None, password: str | None = None) -> "Browser":
        body = {"email": email or self.email, "password": password or self.password}
        self._signed_in(self.http.post("/auth/login", json=body))
        return self

    def _signed_in(self, answer: httpx.Response) -> None:
        assert answer.is_success, answer.text
        self.account_id = answer.json()["account_id"]
        self.http.headers["X-CSRF-Token"] = answer.json()["csrf_token"]

    def make_key(self, **fields: Any) -> dict[str, Any]:
        answer = self.http.post("/keys", json={"name": "a key"} | fields)
        assert answer.status_code == 201, answer.text
        return answer.json()


def wait_until(check: Any, timeout_s: float = WAIT_S) -> Any:
    """The first truthy answer of `check`; fails when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("console")
    postgres, nats_server = EmbeddedPostgres(folder / "postgres"), EmbeddedNats(folder / "nats")
    postgres.start()
    nats_server.start()
    bus = Bus(nats_server.url)
    deployed: Deployment | None = None
    try:
        bus.run(deploy(bus.js))
        billing = FakeBilling(bus.nc)
        bus.run(billing.start())
        deposits = FakeDeposits(bus.nc, bus.js)
        bus.run(deposits.start())
        port = pick_free()
        env = _environment(postgres, nats_server, port)
        deployed = Deployment(
            url=f"http://127.0.0.1:{port}",
            env=env,
            bus=bus,
            billing=billing,
            deposits=deposits,
            app_url=env["CONSOLE_DATABASE_URL"],
            owner_url=env["CONSOLE_OWNER_DATABASE_URL"],
            superuser_url=postgres.superuser_url(),
            log_path=folder / "console.log",
        )
        deployed.command("migrate")
        deployed.start_serving()
        deployed.command("seed", "--catalog", "config/catalog.json")
        wait_until(lambda: _answers(f"{deployed.url}/readyz"), 30)
        yield deployed
    finally:
        if deployed is not None:
            deployed.stop_serving()
        bus.close()
        nats_server.stop()
        postgres.stop()
    assert refusals(nats_server) == []


@pytest.fixture
def browser(deployment: Deployment) -> Iterator[Browser]:
    """Not signed in."""
    made = Browser(deployment)
    yield made
    made.http.close()


@pytest.fixture
def customer(deployment: Deployment) -> Iterator[Browser]:
    made = Browser(deployment).sign_up()
    yield made
    made.http.close()


@pytest.fixture(scope="session")
def regular(deployment: Deployment) -> Iterator[Browser]:
    """A customer for tests that leave nothing behind."""
    made = Browser(deployment).sign_up()
    yield made
    made.http.close()


@pytest.fixture
def stranger(deployment: Deployment) -> Iterator[Browser]:
    """Another customer."""
    made = Browser(deployment).sign_up()
    yield made
    made.http.close()


@pytest.fixture(scope="session")
def operator(deployment: Deployment) -> Iterator[Browser]:
    password = secrets.token_urlsafe(12)
    deployment.command("create-operator", "Operator@Example.com", CONSOLE_OPERATOR_PASSWORD=password)
    made = Browser(deployment).log_in("operator@example.com", password)
    yield made
    made.http.close()


def _environment(postgres: EmbeddedPostgres, nats_server: EmbeddedNats, port: int) -> dict[str, str]:
    roles = ("tt_console_owner", "tt_console_app")
    passwords = {role: secrets.token_urlsafe(12) for role in roles}
    for role in roles:
        postgres.create_role(role, passwords[role])
    postgres.create_database("tt_console", roles[0], may_connect=roles[1:])
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CONSOLE_", "OPENAI_"))}
    return inherited | {
        "CONSOLE_PORT": str(port),
        "CONSOLE_NATS_URL": nats_server.user_url("console"),
        "CONSOLE_DATABASE_URL": postgres.url("tt_console", roles[1], passwords[roles[1]]),
        "CONSOLE_OWNER_DATABASE_URL": postgres.url("tt_console", roles[0], passwords[roles[0]]),
        "CONSOLE_TRUSTED_PROXIES": '["127.0.0.1"]',
        "CONSOLE_CREDIT_NAME": "TMT",
        "CONSOLE_CREDITS_PER_USD": "7.5",
        "CONSOLE_KEY_PREFIX": "gw_",
        "CONSOLE_WEBHOOK_NETWORKS": '["127.0.0.0/8"]',
    }


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
