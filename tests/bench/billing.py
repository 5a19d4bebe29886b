"""Billing alone at its limits: a full stream of usage events to settle, and grants to open as fast as it can.

Real NATS, real PostgreSQL with its defaults (synchronous_commit on) and one billing process; nothing is pinned. Beside the rates stand
the processor seconds that each used, which hold on a busy machine too. A run whose books don't reconcile has no figures.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nats.aio.client import Client

from tests.bench.billing_load import ACCOUNTS, Account, WrongBooks, encoded_events, open_grants, publish_usage
from tests.bench.credit import give_credit
from tests.bench.processors import cpu_s
from tt_billing.consumers.usage import DURABLE
from tt_billing.settings import MIGRATIONS_DIR
from tt_common.bus.connection import connect
from tt_common.bus.rpc import call
from tt_common.contracts import wallets
from tt_common.contracts.streams import USAGE
from tt_common.db.migrations import migrate
from tt_common.deploy import deploy
from tt_common.ids import new_id
from tt_common.money import NANOUSD_PER_USD
from tt_common.rating import Price, Rates
from tt_sandbox.stack.nats_server import EmbeddedNats
from tt_sandbox.stack.ports import HOST, pick_free
from tt_sandbox.stack.postgres import EmbeddedPostgres
from tt_sandbox.stack.service import Service
from tt_sandbox.stack.settings import PROJECT_DIR

SETTLED, TRICKLED, OPENED = "usage events settled", "usage events settled as they come", "grants opened"
AIMS = {SETTLED: 10_000, TRICKLED: 1_000, OPENED: 3_000}
EVENTS = 60_000
TRICKLE = 10_000
TRICKLE_PER_S = 1_000
TRICKLE_EVERY_S = 0.005
OPENS = 30_000
CREDIT_NANOUSD = 100_000 * NANOUSD_PER_USD
DATABASE, OWNER, APP, PASSWORD = "tt_billing", "tt_billing_owner", "tt_billing_app", "benchmark-only"
POLL_S = 0.02
SETTLED_S_MAX = 300.0
RPC_TIMEOUT_S = 10.0
PRICE = wallets.PublishPrice(
    model="gpt-4o-mini", rates=Rates(input=150_000_000, cache_read=75_000_000, output=600_000_000), actor="bench"
)


@dataclass(frozen=True)
class Figures:
    """`count` things in `elapsed_s`, with the processor seconds of each part meanwhile."""

    what: str
    count: int
    elapsed_s: float
    cpu_s: dict[str, float]

    def row(self) -> str:
        cells = [self.what, f"{self.count:,}", f"**{self.count / self.elapsed_s:,.0f}**", f"{AIMS[self.what]:,}"]
        cells += [f"{1e6 * self.cpu_s[part] / self.count:.0f} µs" for part in ("billing", "postgres", "nats")]
        cells.append(" / ".join(f"{self.cpu_s[part] / self.elapsed_s:.0%}" for part in ("billing", "postgres", "nats")))
        return f"| {' | '.join(cells)} |"


HEADER = "| measure | count | per second | aim | billing | PostgreSQL | NATS | busy |\n| --- | --- | --- | --- | --- | --- | --- | --- |"


class BillingBed:
    """The two engines and one billing, on a fresh database."""

    def __init__(self, folder: Path) -> None:
        self.postgres = EmbeddedPostgres(folder / "postgres")
        self.nats = EmbeddedNats(folder / "nats")
        self._folder = folder
        self.nc: Client
        self.billing: Service
        self.accounts: list[Account] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Accounts with credit and one price exist within; billing serves."""
        try:
            self.postgres.start()
            for role in (OWNER, APP):
                self.postgres.create_role(role, PASSWORD)
            self.postgres.create_database(DATABASE, OWNER, may_connect=(APP,))
            app_url = self.postgres.url(DATABASE, APP, PASSWORD)
            await asyncio.to_thread(migrate, MIGRATIONS_DIR, self.postgres.url(DATABASE, OWNER, PASSWORD), app_url)
            self.nats.start()
            self.nc = await connect(self.nats.url, "bench")
            await deploy(self.nc.jetstream())
            self.billing = self._service(app_url)
            await asyncio.to_thread(self.billing.start)
            self.price = await call(self.nc, wallets.PRICE_PUBLISH, PRICE, Price, RPC_TIMEOUT_S)
            self.accounts = [await self._make_account() for _ in range(ACCOUNTS)]
            yield
        finally:
            if hasattr(self, "billing"):
                await asyncio.to_thread(self.billing.stop)
            if hasattr(self, "nc"):
                await self.nc.close()
            self.nats.stop()
            self.postgres.stop()

    def _service(self, app_url: str) -> Service:
        port = pick_free()
        env = {name: value for name, value in os.environ.items() if not name.startswith("BILLING_")}
        env |= {
            "BILLING_DATABASE_URL": app_url,
            "BILLING_NATS_URL": self.nats.url,
            "BILLING_HOST": HOST,
            "BILLING_PORT": str(port),
        }
        return Service(
            "billing",
            [sys.executable, "-m", "tt_billing", "serve"],
            port,
            env=env,
            log_path=self._folder / "billing.log",
            cwd=PROJECT_DIR,
            pid_path=self._folder / "billing.pid",
        )

    async def _make_account(self) -> Account:
        account = Account(new_id("acct"), new_id("key"))
        await give_credit(self.nc, account.id, CREDIT_NANOUSD)
        return account

    def cpu_s(self) -> dict[str, float]:
        """Processor seconds so far; PostgreSQL with all its backends, also those that have ended."""
        return {
            "billing": cpu_s([self.billing.process.pid]),
            "postgres": cpu_s([self.postgres.process.pid], family=True),
            "nats": cpu_s([self.nats.process.pid]),
        }

    def reconcile(self) -> int:
        """How many receipts were rated again. Raises WrongBooks unless everything agrees."""
        argv = [sys.executable, "-m", "tt_billing", "reconcile", "--json"]
        done = subprocess.run(argv, env=self.billing.env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise WrongBooks(f"reconcile: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        report = json.loads(done.stdout)
        if report["usage_backlog"] or report["quarantined"]:
            raise WrongBooks(f"backlog {report['usage_backlog']}, quarantined {report['quarantined']}")
        return int(report["rated"])


async def measure_settling(bed: BillingBed, count: int = EVENTS) -> Figures:
    """From the first fetch to the last acknowledgement of `count` events that wait in USAGE."""
    held = await open_grants(bed.nc, bed.accounts)
    await asyncio.to_thread(bed.billing.stop)
    await publish_usage(bed.nc, encoded_events(bed.accounts, held, bed.price, count))
    await asyncio.to_thread(bed.billing.launch)
    js = bed.nc.jetstream(timeout=RPC_TIMEOUT_S)
    started: tuple[float, dict[str, float]] | None = None
    deadline = time.monotonic() + SETTLED_S_MAX
    while True:
        info = await js.consumer_info(USAGE.name, DURABLE)
        delivered = info.delivered.stream_seq if info.delivered else 0
        if started is None and delivered:
            started = time.perf_counter(), bed.cpu_s()
        if started is not None and not info.num_pending and not info.num_ack_pending:
            break
        if time.monotonic() > deadline:
            raise WrongBooks(f"{info.num_pending} events are not settled after {SETTLED_S_MAX:.0f} s")
        await asyncio.sleep(POLL_S)
    elapsed_s = time.perf_counter() - started[0]
    after = bed.cpu_s()
    figures = Figures(SETTLED, count, elapsed_s, {p: after[p] - started[1][p] for p in after})
    await asyncio.to_thread(bed.billing.wait_ready)
    rated = await asyncio.to_thread(bed.reconcile)
    if rated != count:
        raise WrongBooks(f"{rated} of {count} events are in the record")
    return figures


async def measure_trickle(bed: BillingBed, count: int = TRICKLE) -> Figures:
    """`count` events that come TRICKLE_PER_S a second, as from edges that serve, until the last is settled."""
    held = await open_grants(bed.nc, bed.accounts)
    messages = encoded_events(bed.accounts, held, bed.price, count)
    before, began = bed.cpu_s(), time.perf_counter()
    sent = 0
    while sent < count:
        due = min(count, int((time.perf_counter() - began) * TRICKLE_PER_S))
        for message in messages[sent:due]:
            await bed.nc.publish(message.subject, message.payload, headers=message.headers)
        sent = due
        await asyncio.sleep(TRICKLE_EVERY_S)
    js = bed.nc.jetstream(timeout=RPC_TIMEOUT_S)
    while True:
        info = await js.consumer_info(USAGE.name, DURABLE)
        acked = info.ack_floor.stream_seq if info.ack_floor else 0
        if acked >= count or time.perf_counter() - began > SETTLED_S_MAX:
            break
        await asyncio.sleep(POLL_S)
    elapsed_s, after = time.perf_counter() - began, bed.cpu_s()
    await asyncio.to_thread(bed.reconcile)
    return Figures(TRICKLED, count, elapsed_s, {part: after[part] - before[part] for part in after})


async def measure_opening(bed: BillingBed, count: int = OPENS) -> Figures:
    """`count` new grants for all accounts in turn, many requests under way at once."""
    before, began = bed.cpu_s(), time.perf_counter()
    await open_grants(bed.nc, bed.accounts, count)
    elapsed_s, after = time.perf_counter() - began, bed.cpu_s()
    await asyncio.to_thread(bed.reconcile)
    return Figures(OPENED, count, elapsed_s, {part: after[part] - before[part] for part in after})


MEASURES: Final = {"settle": measure_settling, "trickle": measure_trickle, "grants": measure_opening}
NAMES: Final = tuple(MEASURES)


async def measure_billing(folder: Path, names: Sequence[str]) -> list[Figures]:
    """The chosen measures, each on a bed of its own."""
    found: list[Figures] = []
    for name in names:
        bed = BillingBed(folder / name)
        async with bed.running():
            found.append(await MEASURES[name](bed))
    return found


def billing_table(found: Sequence[Figures]) -> str:
    """Processor time is for each event or grant; busy is billing / PostgreSQL / NATS, in parts of one processor."""
    return "\n".join([HEADER, *(figures.row() for figures in found)])
