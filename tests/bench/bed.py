"""What is measured: the whole product with one edge, a bare passthrough, a provider, and accounts with a key and credit each.

Everything is on: each key has limits (that nobody reaches), and a collector takes the spans of the calls that are sampled.

Accounts are made where the console makes them: wallets through billing's RPC, key records in the bucket. `check_money` is the judge:
a benchmark that loses money doesn't count.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import nats.errors
from nats.aio.client import Client

from tests.bench.credit import give_credit
from tests.bench.processors import Processors, come_first, step_back
from tt_common.bus.connection import connect
from tt_common.bus.rpc import call
from tt_common.contracts import wallets
from tt_common.contracts.records import KeyRecord
from tt_common.contracts.streams import KEYS, USAGE
from tt_common.ids import new_id, sha256_hex
from tt_common.money import NANOUSD_PER_USD
from tt_common.rating import Usage, cost_nanousd, price_in_force
from tt_sandbox.stack import Stack
from tt_sandbox.stack.ports import HOST, pick_free
from tt_sandbox.stack.service import Service
from tt_sandbox.stack.settings import PROJECT_DIR

ACCOUNTS = 50
# Cut into slices like any limit, and never reached.
REQUESTS_PER_MINUTE, TOKENS_PER_MINUTE, CONCURRENCY = 10_000_000, 100_000_000_000, 10_000
# What it does can wait, for the load generator, the provider and billing, which opens grants.
BEHIND = ("console",)
CREDIT_NANOUSD = 1_000 * NANOUSD_PER_USD
RPC_TIMEOUT_S = 10.0
QUIET_S_MAX = 60.0
POLL_S = 0.1


class MoneyLost(RuntimeError):
    """The wallets don't agree with the calls that were answered; the message says how."""


@dataclass(frozen=True)
class Account:
    id: str
    key: str


class Bed:
    """The running stack and passthrough."""

    def __init__(self, data_dir: Path, processors: Processors) -> None:
        collector_port, replay_port, port = pick_free(), pick_free(), pick_free()
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:{collector_port}"}
        provider_url = f"http://{HOST}:{replay_port}"
        # Where the catalog's providers are.
        replayed = {"SANDBOX_BASE_URL": f"{provider_url}/v1", "SANDBOX_GEMINI_BASE_URL": f"{provider_url}/v1beta"}
        self.stack = Stack(data_dir, edges=1, deposits=False, env={"edge": traced, "console": replayed})
        self._processors = processors
        self.collector = self._service("collector", collector_port)
        self.replay = self._service("replay", replay_port, self.stack.sandbox_url)
        self.passthrough = self._service("passthrough", port, f"{provider_url}/v1")
        self.ports = {"edge": self.stack.edges[0].port, "passthrough": port, "provider": replay_port}
        self._services = (self.collector, self.replay, self.passthrough)
        self.accounts: list[Account] = []
        self.nc: Client

    def start(self) -> None:
        """Raises StartError with everything stopped again."""
        self.stack.start()
        try:
            for service in self._services:
                service.start()
            for name in ("edge", "passthrough"):
                self._processors.give(self.pid(name))
            for name in BEHIND:
                step_back(self.pid(name))
            for pid in (os.getpid(), self.pid("provider")):
                come_first(pid)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        for service in reversed(self._services):
            service.stop()
        self.stack.stop()

    async def restart_edge(self) -> None:
        """A fresh edge, when every event of the one before is settled."""
        await self.quiet()
        await asyncio.to_thread(self.stack.edges[0].restart)
        self._processors.give(self.pid("edge"))

    def pid(self, name: str) -> int:
        """The process id of "edge", "passthrough", "provider" or one of BEHIND."""
        processes = {
            "edge": self.stack.edges[0].process,
            "passthrough": self.passthrough.process,
            "provider": self.replay.process,
            "postgres": self.stack.postgres.process,
            "billing": self.stack.service("billing").process,
            "console": self.stack.service("console").process,
        }
        pid = processes[name].pid
        if pid is None:
            raise RuntimeError(f"{name} is gone (log: {processes[name].log_path})")
        return pid

    def _service(self, name: str, port: int, *arguments: str) -> Service:
        """A module of this folder as a service."""
        return Service(
            name,
            [sys.executable, "-m", f"tests.bench.{name}", str(port), *arguments],
            port,
            env=self.stack.service_env("sandbox"),
            log_path=self.stack.folder.log(name),
            cwd=PROJECT_DIR,
            pid_path=self.stack.folder.pid(name),
        )

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """The accounts exist within; needs the running stack."""
        self.nc = await connect(self.stack.nats.url, "bench")
        try:
            self.accounts = [await self._make_account() for _ in range(ACCOUNTS)]
            yield
        finally:
            await self.nc.close()

    async def _make_account(self) -> Account:
        account = Account(new_id("acct"), new_id("sk-bench"))
        await give_credit(self.nc, account.id, CREDIT_NANOUSD)
        record = KeyRecord(
            key_id=new_id("key"),
            account_id=account.id,
            hash=sha256_hex(account.key),
            status="active",
            revision=1,
            requests_per_minute=REQUESTS_PER_MINUTE,
            tokens_per_minute=TOKENS_PER_MINUTE,
            concurrency=CONCURRENCY,
        )
        await self.nc.jetstream().publish(KEYS.subject(record.hash), msgspec.json.encode(record))
        return account

    async def quiet(self) -> None:
        """Returns when every consumer has settled what is in USAGE, so that one round doesn't pay for the one before."""
        js = self.nc.jetstream(timeout=RPC_TIMEOUT_S)
        deadline = time.monotonic() + QUIET_S_MAX
        times_empty = 0
        while times_empty < 2:
            try:
                consumers = await js.consumers_info(USAGE.name)
                waiting = sum((consumer.num_pending or 0) + (consumer.num_ack_pending or 0) for consumer in consumers)
            except (nats.errors.TimeoutError, TimeoutError):
                waiting = 1
            times_empty = 0 if waiting else times_empty + 1
            if time.monotonic() > deadline:
                raise MoneyLost(f"{waiting} events are not settled after {QUIET_S_MAX:.0f} s")
            await asyncio.sleep(POLL_S)

    async def cost_of(self, model: str, prompt_tokens: int, output_tokens: int) -> int:
        """What one call must cost, in nanoUSD, by the published price and the provider's own count."""
        found = await call(
            self.nc, wallets.PRICE_LIST, wallets.ListPrices(model=model), wallets.PriceList, RPC_TIMEOUT_S
        )
        price = price_in_force(found.prices, int(time.time() * 1000))
        assert price is not None, f"no price for {model}"
        return cost_nanousd(Usage(input_tokens=prompt_tokens, output_tokens=output_tokens), price)

    async def check_money(self, expected_nanousd: int) -> None:
        """Raises MoneyLost unless the accounts were charged `expected_nanousd` in all, to the nanoUSD."""
        await self.quiet()
        spent = 0
        for account in self.accounts:
            request = wallets.GetWallet(account_id=account.id)
            wallet = await call(self.nc, wallets.WALLET_GET, request, wallets.WalletState, RPC_TIMEOUT_S)
            spent += CREDIT_NANOUSD - wallet.available_nanousd - wallet.held_nanousd
        if spent != expected_nanousd:
            raise MoneyLost(f"answered calls cost {expected_nanousd} nanoUSD, the wallets were charged {spent}")

    def reconcile(self) -> None:
        """Raises MoneyLost unless billing's own reconciliation is clean."""
        done = self.stack.command("billing", "reconcile")
        if done.returncode != 0:
            raise MoneyLost(f"reconcile: {done.stdout}{done.stderr}")
