"""The console's usage pages over a read model of ten million calls, asked over HTTP by signed-in customers, and how
fast it takes events in.

Real PostgreSQL with its defaults, real NATS, one console process; nothing is pinned. Billing is not there, the usage pages don't need it.
"""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from tests.bench.billing_load import Account, OpenGrant, WrongBooks, encoded_events, publish_usage
from tests.bench.usage_fill import MONTH_PARAMS, fill, is_filled
from tests.support.console import ConsoleUser
from tt_common.bus.connection import connect
from tt_common.contracts.streams import USAGE
from tt_common.db.migrations import migrate
from tt_common.deploy import deploy
from tt_common.ids import new_id
from tt_common.rating import Price, Rates
from tt_console.consumers.usage import DURABLE
from tt_console.main import MIGRATIONS
from tt_sandbox.stack.nats_server import EmbeddedNats
from tt_sandbox.stack.ports import HOST, pick_free
from tt_sandbox.stack.postgres import EmbeddedPostgres
from tt_sandbox.stack.service import Service
from tt_sandbox.stack.settings import PROJECT_DIR

NAME: Final = "usage"
OWNER, APP, DATABASE, PASSWORD = "tt_console_owner", "tt_console_app", "tt_console", "benchmark-only"
CUSTOMERS: Final = 20
WARM_ROUNDS: Final = 10
EVENTS: Final = 60_000
INGESTED_S_MAX: Final = 300.0
POLL_S: Final = 0.02
DEEP_PAGES: Final = 30
DEEP_CUSTOMERS_MIN: Final = 2  # a percentile of fewer says nothing
PRICE: Final = Price(
    version="gpt-4o-mini@1",
    model="gpt-4o-mini",
    number=1,
    rates=Rates(input=150_000_000),
    starts_at_ms=0,
    created_at_ms=0,
)


@dataclass(frozen=True)
class Timing:
    """Milliseconds of each request of one kind, and the processor time of a warm one: (console, PostgreSQL)."""

    what: str
    cold_ms: list[float]
    warm_ms: list[float]
    cpu_ms: tuple[float, float]

    def row(self) -> str:
        figures = [f"{_percentile(ms, p):.1f} ms" for ms in (self.cold_ms, self.warm_ms) for p in (50, 95)]
        return f"| {self.what} | {' | '.join(figures)} | {self.cpu_ms[0]:.1f} ms / {self.cpu_ms[1]:.1f} ms |"


HEADER: Final = (
    "| query | p50 cold | p95 cold | p50 warm | p95 warm | processor, console / PostgreSQL |\n"
    "| --- | --- | --- | --- | --- | --- |"
)


class UsageBed:
    """The engines and one console; `folder` is kept by the caller where the rows shall serve again."""

    def __init__(self, folder: Path) -> None:
        self.postgres = EmbeddedPostgres(folder / "postgres")
        self.nats = EmbeddedNats(folder / "nats")
        self._folder = folder
        self._port = pick_free()
        self.console: Service
        self.customers: list[ConsoleUser] = []

    def start(self, rows: int) -> None:
        """All is filled and the customers are signed in when this returns."""
        self.postgres.start()
        for role in (OWNER, APP):
            self.postgres.create_role(role, PASSWORD)
        self.postgres.create_database(DATABASE, OWNER, may_connect=(APP,))
        owner_url, app_url = (self.postgres.url(DATABASE, role, PASSWORD) for role in (OWNER, APP))
        migrate(MIGRATIONS, owner_url, app_url)
        self.nats.start()
        asyncio.run(_deploy(self.nats.url))
        env = {name: value for name, value in os.environ.items() if not name.startswith("CONSOLE_")}
        env |= {
            "CONSOLE_DATABASE_URL": app_url,
            "CONSOLE_NATS_URL": self.nats.url,
            "CONSOLE_HOST": HOST,
            "CONSOLE_PORT": str(self._port),
            "CONSOLE_TRUSTED_PROXIES": '["127.0.0.1"]',
        }
        argv = [sys.executable, "-m", "tt_console", "serve"]
        pid_path, log_path = self._folder / "console.pid", self._folder / "console.log"
        self.console = Service(
            "console", argv, self._port, env=env, log_path=log_path, cwd=PROJECT_DIR, pid_path=pid_path
        )
        self.console.start()
        known = is_filled(owner_url)
        for number in range(CUSTOMERS):
            user, email = ConsoleUser(self.console.url), f"bench-{number}@example.com"
            self.customers.append(user.log_in(email, PASSWORD) if known else _sign_up(user, email))
        if not known:
            fill(owner_url, rows, [user.account_id for user in self.customers])

    def stop(self) -> None:
        for user in self.customers:
            user.close()
        if hasattr(self, "console"):
            self.console.stop()
        self.nats.stop()
        self.postgres.stop()

    def cool(self) -> None:
        """Nothing of the database is in PostgreSQL's memory or in the system's cache afterwards; connections are open again."""
        self.console.stop()
        self.postgres.stop()
        for path in self.postgres.cluster_dir.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self.postgres.start()
        self.console.start()
        for user in self.customers:
            user.get("/auth/me")

    def cpu_s(self) -> tuple[float, float]:
        """Processor seconds of console and of PostgreSQL's processes so far."""
        server = psutil.Process(self.postgres.process.pid)
        return _cpu_s([psutil.Process(self.console.process.pid)]), _cpu_s([server, *server.children(recursive=True)])


def _sign_up(user: ConsoleUser, email: str) -> ConsoleUser:
    signed_up = user.send("POST", "/auth/signup", {"email": email, "password": PASSWORD})
    user.account_id = signed_up["account_id"]
    return user


async def _deploy(url: str) -> None:
    nc = await connect(url, "bench")
    await deploy(nc.jetstream())
    await nc.close()


def _cpu_s(processes: Sequence[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _deep_cursor(user: ConsoleUser) -> str | None:
    """Where the page after DEEP_PAGES pages of a hundred begins; None where the month has fewer."""
    cursor: dict[str, str] = {}
    for _ in range(DEEP_PAGES):
        page = user.get("/usage", limit=100, **MONTH_PARAMS, **cursor)
        if not page["has_more"]:
            return None
        cursor = {"cursor": page["next_cursor"]}
    return cursor["cursor"]


def queries() -> dict[str, Callable[[ConsoleUser], object]]:
    """By name what a customer asks for."""

    def page(**filters: str) -> Callable[[ConsoleUser], object]:
        return lambda user: user.get("/usage", limit=100, **MONTH_PARAMS, **filters)

    quarter = {"from": "2026-05-01T00:00:00Z", "to": "2026-07-30T00:00:00Z"}
    year = {"from": "2026-01-01T00:00:00Z", "to": "2026-12-31T00:00:00Z"}
    return {
        "first page of a month (100 calls)": page(),
        "… of one key": page(key_id="key_3"),
        "… of a rare model": page(model="model-7"),
        "… what did not succeed": page(outcome="failed"),
        "newest page, no range": lambda user: user.get("/usage"),
        "daily sums of 90 days": lambda user: user.get("/usage/daily", **quarter),
        "daily sums of a year by model": lambda user: user.get("/usage/daily", group_by="model", **year),
    }


def measure_queries(bed: UsageBed) -> list[Timing]:
    """Each query by every customer: once cold, WARM_ROUNDS times warm. With few rows there is no deep page to ask for."""
    found = [_measure(bed, what, [(ask, user) for user in bed.customers]) for what, ask in queries().items()]
    cursors = [(user, cursor) for user in bed.customers if (cursor := _deep_cursor(user)) is not None]

    def deep(cursor: str) -> Callable[[ConsoleUser], object]:
        return lambda user: user.get("/usage", limit=100, cursor=cursor, **MONTH_PARAMS)

    if len(cursors) < DEEP_CUSTOMERS_MIN:
        return found
    what = f"page {DEEP_PAGES + 1} of a month, by cursor"
    return [*found, _measure(bed, what, [(deep(cursor), user) for user, cursor in cursors])]


def _measure(bed: UsageBed, what: str, asked: Sequence[tuple[Callable[[ConsoleUser], object], ConsoleUser]]) -> Timing:
    bed.cool()
    cold = [_timed_ms(ask, user) for ask, user in asked]
    before = bed.cpu_s()
    warm = [_timed_ms(ask, user) for _ in range(WARM_ROUNDS) for ask, user in asked]
    console_s, postgres_s = (now - then for now, then in zip(bed.cpu_s(), before, strict=True))
    return Timing(what, cold, warm, (1000 * console_s / len(warm), 1000 * postgres_s / len(warm)))


def _timed_ms(ask: Callable[[ConsoleUser], object], user: ConsoleUser) -> float:
    started = time.perf_counter()
    ask(user)
    return 1000 * (time.perf_counter() - started)


def measure_csv(bed: UsageBed) -> str:
    """The biggest customer's month as CSV."""
    user = bed.customers[0]
    started, before = time.perf_counter(), bed.cpu_s()
    answer = user.http.get("/usage.csv", params=MONTH_PARAMS, timeout=120.0)
    elapsed_s = time.perf_counter() - started
    console_s, postgres_s = (now - then for now, then in zip(bed.cpu_s(), before, strict=True))
    lines = answer.text.count("\n") - 1
    return (
        f"CSV: {lines:,} calls in {elapsed_s:.1f} s, {lines / elapsed_s:,.0f}/s"
        f" (console {1e6 * console_s / lines:.0f} µs, PostgreSQL {1e6 * postgres_s / lines:.0f} µs of processor a call)"
    )


async def measure_ingest(bed: UsageBed) -> str:
    """From the first fetch to the last acknowledgement of EVENTS events that wait in USAGE."""
    await asyncio.to_thread(bed.console.stop)
    nc = await connect(bed.nats.url, "bench")
    accounts = [Account(user.account_id, f"key_{n % 8}") for user in bed.customers for n in range(10)]
    grants = [OpenGrant(new_id("grant"), account, n % 4) for n, account in enumerate(accounts)]
    await publish_usage(nc, encoded_events(accounts, grants, PRICE, EVENTS))
    await asyncio.to_thread(bed.console.launch)
    js = nc.jetstream(timeout=10)
    started: tuple[float, tuple[float, float]] | None = None
    deadline = time.monotonic() + INGESTED_S_MAX
    first = (await js.consumer_info(USAGE.name, DURABLE)).num_pending or 0
    while True:
        info = await js.consumer_info(USAGE.name, DURABLE)
        if started is None and (info.num_pending or 0) < first:
            started = time.perf_counter(), bed.cpu_s()
        if not info.num_pending and not info.num_ack_pending and started is not None:
            break
        if time.monotonic() > deadline:
            raise WrongBooks(f"{info.num_pending} events are not in after {INGESTED_S_MAX:.0f} s")
        await asyncio.sleep(POLL_S)
    elapsed_s = time.perf_counter() - started[0]
    console_s, postgres_s = (now - then for now, then in zip(bed.cpu_s(), started[1], strict=True))
    await nc.close()
    return (
        f"consumer: {EVENTS:,} events in {elapsed_s:.1f} s, {EVENTS / elapsed_s:,.0f}/s"
        f" (console {1e6 * console_s / EVENTS:.0f} µs, PostgreSQL {1e6 * postgres_s / EVENTS:.0f} µs of processor an event)"
    )


def measure_usage(folder: Path, rows: int) -> str:
    """The report. What `folder` holds from an earlier run is used again."""
    bed = UsageBed(folder)
    try:
        bed.start(rows)
        lines = [HEADER, *(timing.row() for timing in measure_queries(bed)), ""]
        lines.append(measure_csv(bed))
        lines.append(asyncio.run(measure_ingest(bed)))
        return "\n".join(lines)
    finally:
        bed.stop()
