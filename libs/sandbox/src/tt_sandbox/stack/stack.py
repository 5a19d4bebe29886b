"""The whole product on one machine: PostgreSQL, NATS, sandbox provider and chain, billing, deposits, edges and console API.

`make up` and the tests start the same thing through this class. Invariant: a start that fails leaves nothing running.
Never restarts anything by itself (the supervisor of `make up` does).
"""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import CompletedProcess, run
from types import TracebackType
from typing import Self

from tt_common.contracts.nats_users import DEPLOY
from tt_sandbox.stack.deposit_settings import sandbox_deposits
from tt_sandbox.stack.folders import DataFolder, write_private
from tt_sandbox.stack.nats_server import EmbeddedNats
from tt_sandbox.stack.ports import HOST, pick_free
from tt_sandbox.stack.postgres import EmbeddedPostgres
from tt_sandbox.stack.process import StartError
from tt_sandbox.stack.service import Service
from tt_sandbox.stack.settings import PROJECT_DIR, Ports
from tt_sandbox.stack.steps import STEP_TIMEOUT_S, Step, run_steps

SANDBOX_KEY = "sk-sandbox"
# The console prints the demo account's password once, on the run that makes it; the user must see that line.
LOGIN_PREFIX = "demo account:"
# The services that own a database, by the name in roles, variables and modules.
DATABASE_OWNERS = ("billing", "deposits", "console")
MODULES = {
    "billing": "tt_billing",
    "deposits": "tt_deposits",
    "console": "tt_console",
    "edge": "tt_edge",
    "sandbox": "tt_sandbox.provider",
    "chain": "tt_sandbox.chain",
}
STOP_ORDER = ("edge", "console", "deposits", "billing", "sandbox", "chain", "nats", "postgres")
# What stands for the world outside, and gets no secret of ours.
SANDBOXES = ("sandbox", "chain")
# A deposit is solid after 18 more blocks: in some twenty seconds instead of a minute.
CHAIN_BLOCK_S = "1"


class Stack:
    """A stack in `data_dir`. Usable as a context manager; synchronous, one thread at a time."""

    def __init__(
        self,
        data_dir: Path | str,
        *,
        edges: int = 1,
        deposits: bool = True,
        ports: Ports | None = None,
        env: Mapping[str, Mapping[str, str]] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`env` adds variables by service ("billing", "edge" for all edges, "edge-0" for one); `say` gets progress.

        With several edges a given edge port is the first one's; the others get free ones. Without `deposits` there is
        neither that service nor a chain for it.
        """
        self.folder = DataFolder(Path(data_dir).resolve())
        self.folder.create()
        self._ports = ports or Ports()
        self._extra_env = env or {}
        self._say = say
        self._passwords = self.folder.passwords()
        self.postgres = EmbeddedPostgres(
            self.folder.postgres,
            self._ports.postgres,
            pid_path=self.folder.pid("postgres"),
            log_path=self.folder.log("postgres"),
        )
        self.nats = EmbeddedNats(
            self.folder.nats,
            self._ports.nats,
            passwords=self.folder.nats_passwords(),
            pid_path=self.folder.pid("nats"),
            log_path=self.folder.log("nats"),
        )
        self._deposits = deposits
        self._sandboxes = SANDBOXES if deposits else ("sandbox",)
        self._owners = tuple(owner for owner in DATABASE_OWNERS if deposits or owner != "deposits")
        self._services: dict[str, Service] = {}
        self._demo_key: str | None = None
        sandbox = self._add("sandbox", "sandbox", [], self._ports.sandbox)
        self.provider_url = f"{sandbox.url}/v1"
        if deposits:
            self._add("chain", "chain", [], self._ports.chain)
        self._add("billing", "billing", ["serve"], self._ports.billing)
        if deposits:
            self._add("deposits", "deposits", ["serve"], self._ports.deposits)
        self.edges = [self._add(f"edge-{i}", "edge", [], 0 if i else self._ports.edge) for i in range(edges)]
        self._add("console", "console", ["serve"], self._ports.console)
        for service in self.services:
            kind = service.name.split("-")[0]
            address = {f"{kind.upper()}_HOST": HOST, f"{kind.upper()}_PORT": str(service.port)}
            service.process.env = self.service_env(kind, service.name) | address

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def services(self) -> list[Service]:
        """All HTTP services in the order they start."""
        return list(self._services.values())

    @property
    def edge_urls(self) -> list[str]:
        """The edges' base URLs, without /v1."""
        return [edge.url for edge in self.edges]

    @property
    def console_url(self) -> str:
        return self.service("console").url

    @property
    def billing_url(self) -> str:
        return self.service("billing").url

    @property
    def deposits_url(self) -> str:
        return self.service("deposits").url

    @property
    def sandbox_url(self) -> str:
        """The sandbox provider's root, where /sandbox/calls and /sandbox/faults are; `provider_url` ends in /v1."""
        return self.service("sandbox").url

    @property
    def chain_url(self) -> str:
        """The sandbox chain's root: nodes below /nodes/a, /nodes/b and /nodes/c, the tests' own door below /sandbox. Raises KeyError
        without `deposits`."""
        return self.service("chain").url

    def service(self, name: str) -> Service:
        """A service by name: "sandbox", "chain", "billing", "deposits", "edge-0", … or "console". Raises KeyError."""
        return self._services[name]

    def database_url(self, owner: str, role: str = "app") -> str:
        """The URL of "billing"'s, "deposits"' or "console"'s database for its "app" or "owner" role."""
        return self.postgres.url(f"tt_{owner}", f"tt_{owner}_{role}", self._passwords[f"{owner}_{role}"])

    def start(self) -> None:
        """Starts everything in order and returns when all is ready. Raises StartError with everything stopped again."""
        try:
            self.start_engines()
            self.prepare()
            self._start_services(*self._sandboxes, "billing")
            if self._deposits:
                self.service("deposits").launch()
            catalog = ("seed", "--catalog", "config/catalog.json")
            seed = self._step(MODULES["console"], "console-seed", *catalog, env=self.service_env("console"))
            run_steps([seed], self._say)
            self._start_services(*(name for name in self._services if name not in (*self._sandboxes, "billing")))
        except BaseException:
            self.stop()
            raise

    def prepare(self) -> None:
        """Streams and schemas. Raises StartError. Idempotent."""
        migrations = [
            self._step(MODULES[owner], f"{owner}-migrate", "migrate", env=self.owner_env(owner))
            for owner in self._owners
        ]
        run_steps([self._streams_step(), *migrations], self._say)

    def deploy_streams(self) -> None:
        """Makes the streams and buckets that NATS lacks. Raises StartError."""
        run_steps([self._streams_step()], self._say)

    def start_engines(self) -> None:
        """PostgreSQL with its roles and databases, and NATS. Raises StartError. Idempotent."""
        self.start_databases()
        self.nats.start()
        self._say(f"{'nats':<10} ready on {HOST}:{self.nats.port}")

    def start_databases(self) -> None:
        """PostgreSQL with its roles and databases. Raises StartError. Idempotent."""
        self.postgres.start()
        for owner in self._owners:
            database, roles = f"tt_{owner}", (f"tt_{owner}_owner", f"tt_{owner}_app")
            for role in roles:
                self.postgres.create_role(role, self._passwords[role.removeprefix("tt_")])
            self.postgres.create_database(database, roles[0], may_connect=roles[1:])
        self._say(f"{'postgres':<10} ready on {HOST}:{self.postgres.port}")

    def stop(self) -> None:
        """Stops everything, edges first and PostgreSQL last, in bounded time. Idempotent."""
        for edge in self.edges:
            edge.process.ask_to_stop()
        for service in sorted(self.services, key=lambda service: STOP_ORDER.index(service.name.split("-")[0])):
            service.stop()
        self.nats.stop()
        self.postgres.stop()

    def command(self, owner: str, *arguments: str, timeout_s: float = STEP_TIMEOUT_S) -> CompletedProcess[str]:
        """Runs `python -m tt_<owner> <arguments>` with that service's environment, such as ("billing", "reconcile")."""
        argv = [sys.executable, "-m", MODULES[owner], *arguments]
        env = self.owner_env(owner) if owner in DATABASE_OWNERS else self.service_env(owner)
        return run(argv, env=env, cwd=PROJECT_DIR, capture_output=True, text=True, timeout=timeout_s, check=False)

    def demo_key(self) -> str:
        """The demo account's key, kept in the data folder (0600). Makes the account on the first call, and a new key when
        the kept one is no longer valid. Raises StartError.
        """
        if self._demo_key is None:
            done = self.command("console", "demo", "--key-file", str(self.folder.demo_key))
            key = done.stdout.strip()
            if done.returncode != 0 or len(key.split()) != 1:
                log_path = self.folder.log("console-demo")
                log_path.write_text(done.stderr)
                raise StartError("the demo account could not be made", log_path)
            write_private(self.folder.demo_key, key + "\n")
            for line in done.stderr.splitlines():
                if line.startswith(LOGIN_PREFIX):
                    self._say(line)
            self._demo_key = key
        return self._demo_key

    def service_env(self, kind: str, name: str | None = None) -> dict[str, str]:
        """The environment of a service. Each gets its own secrets and no other's."""
        env = dict(os.environ) | {"PYTHONUNBUFFERED": "1"}
        if kind in DATABASE_OWNERS:
            env[f"{kind.upper()}_DATABASE_URL"] = self.database_url(kind)
        if kind not in SANDBOXES:
            env[f"{kind.upper()}_NATS_URL"] = self.nats.user_url(kind)
            # The seed writes this address into the catalog, the edge reads the key by reference.
            env["SANDBOX_BASE_URL"] = self.provider_url
            env["SANDBOX_GEMINI_BASE_URL"] = self.provider_url.removesuffix("/v1") + "/v1beta"
            env["SANDBOX_API_KEY"] = SANDBOX_KEY
        if kind == "edge" and name is not None:
            env["EDGE_JOURNAL_DIR"] = str(self.folder.edge_journal / name)
        if kind == "chain":
            env |= {"CHAIN_FILE": str(self.folder.chain / "chain.sqlite"), "CHAIN_BLOCK_S": CHAIN_BLOCK_S}
        if kind == "deposits":
            env |= sandbox_deposits(self.chain_url)
        if kind == "billing" and self._deposits:
            env["BILLING_DEPOSITS_NETWORK"] = self.service_env("deposits")["DEPOSITS_NETWORK"]
        if kind == "console":
            env["CONSOLE_EDGE_BASE_URL"] = self.edges[0].url
        for key in (kind, name):
            env |= self._extra_env.get(key or kind, {})
        return env

    def owner_env(self, kind: str) -> dict[str, str]:
        """What a command gets on top of a service: the owner role's URL, for migrations."""
        return self.service_env(kind) | {f"{kind.upper()}_OWNER_DATABASE_URL": self.database_url(kind, "owner")}

    def _add(self, name: str, kind: str, arguments: list[str], port: int) -> Service:
        port = port or pick_free()
        service = Service(
            name,
            [sys.executable, "-m", MODULES[kind], *arguments],
            port,
            env={},
            log_path=self.folder.log(name),
            cwd=PROJECT_DIR,
            pid_path=self.folder.pid(name),
        )
        self._services[name] = service
        return service

    def _start_services(self, *names: str) -> None:
        for name in names:
            self.service(name).launch()
        for name in names:
            self.service(name).wait_ready()
            self._say(f"{name:<10} ready on {HOST}:{self.service(name).port}")

    def _streams_step(self) -> Step:
        return self._step("tt_common.deploy", "deploy", env={"TT_NATS_URL": self.nats.user_url(DEPLOY.name)})

    def _step(self, module: str, name: str, *arguments: str, env: Mapping[str, str]) -> Step:
        return Step(name, module, arguments, env, self.folder.log(name))
