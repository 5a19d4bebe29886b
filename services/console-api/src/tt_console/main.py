"""Wiring only: settings -> connections -> routes, consumers, jobs -> run; and the commands of the shell."""

import argparse
import asyncio
import getpass
import ipaddress
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fastapi import FastAPI
from nats.aio.client import Client
from pydantic import SecretStr, ValidationError

from tt_common.bus.connection import connect
from tt_common.clock import now_ms, rfc3339
from tt_common.contracts.streams import CATALOG, IDENTITY, KEYS, USAGE
from tt_common.db.engine import make_engine
from tt_common.db.migrations import migrate
from tt_common.db.outbox import OutboxRelay
from tt_common.deploy import require
from tt_common.errors import DomainError
from tt_common.log import configure_logging
from tt_common.telemetry.consuming import UsageMeter
from tt_common.telemetry.setup import tracing_of
from tt_common.web.health import Check
from tt_common.web.leaving import Leaving
from tt_common.web.serve import serve
from tt_console.api.app import create_app
from tt_console.api.context import Context
from tt_console.clients.billing import BillingClient
from tt_console.clients.deposits import DepositsClient
from tt_console.clients.passwords import Argon2Passwords
from tt_console.clients.usage_stream import JetStreamUsage
from tt_console.consumers.usage import UsageConsumer
from tt_console.domain.catalog_file import parse_catalog
from tt_console.domain.prices import make_credit
from tt_console.jobs.measure import measure_for_ever
from tt_console.jobs.outbox import drain_outbox
from tt_console.jobs.repair import RepairJob
from tt_console.jobs.sweep import sweep_expired
from tt_console.jobs.usage_months import make_usage_months
from tt_console.settings import ConsoleSettings
from tt_console.store import tables
from tt_console.store.database import PostgresDatabase
from tt_console.usecases.make_demo import make_demo
from tt_console.usecases.metrics import ConsoleMetrics
from tt_console.usecases.rebuild_usage import rebuild_usage
from tt_console.usecases.resend_wallets import resend_wallets
from tt_console.usecases.seed_catalog import seed_catalog
from tt_console.usecases.sign_up import create_operator

MIGRATIONS = Path(__file__).parents[2] / "migrations"
COMMAND_POOL_SIZE = 4
STOP_TIMEOUT_S = 10.0
PUBLISHED_WAIT_S = 1.0
RESEND_HOURS = 24 * 30
MS_PER_HOUR = 3_600_000


@dataclass(frozen=True)
class Tools:
    """What the one-shot commands work with."""

    settings: ConsoleSettings
    database: PostgresDatabase
    nc: Client
    billing: BillingClient


Command = Callable[[argparse.Namespace, Tools], Awaitable[int]]


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        settings = ConsoleSettings()  # pyright: ignore[reportCallIssue] -- the values come from the environment
    except ValidationError as error:
        names = ", ".join(f"CONSOLE_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        return _complain(f"settings: {names}")
    configure_logging(settings.log_level)
    if arguments.command == "serve":
        leaving = Leaving(settings.leave_s)
        app = create_app(lambda app: _serving(app, settings))
        app.state.checks["leaving"] = leaving.check
        serve(app, settings.host, settings.port, leaving=leaving)
        return 0
    if arguments.command == "migrate":
        return _migrate(settings)
    try:
        return asyncio.run(_run(_COMMANDS[arguments.command], arguments, settings))
    except DomainError as error:
        return _complain(error.message)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tt_console", description="The console API of TokenTally.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve the API, the usage consumer and the jobs")
    commands.add_parser("migrate", help="bring the database to the newest revision, as its owner")
    seed = commands.add_parser("seed", help="bring a catalog file into the catalog and publish its prices")
    seed.add_argument("--catalog", type=Path, required=True, metavar="FILE")
    demo = commands.add_parser("demo", help="make the demo account and print its key")
    demo.add_argument("--key-file", type=Path, metavar="FILE", help="print the key in this file while it is valid")
    operator = commands.add_parser("create-operator", help="make an operator, or make a user one")
    operator.add_argument("email")
    resend = commands.add_parser(
        "resend-wallets", help="after billing's restore: tell it again what operators did to wallets"
    )
    resend.add_argument("--hours", type=float, default=RESEND_HOURS, help="how far back (default: %(default)g)")
    commands.add_parser("rebuild-usage", help="rebuild the usage read model from billing's records")
    return parser


def _migrate(settings: ConsoleSettings) -> int:
    if settings.owner_database_url is None:
        return _complain("CONSOLE_OWNER_DATABASE_URL is not set")
    migrate(MIGRATIONS, settings.owner_database_url.get_secret_value(), settings.database_url.get_secret_value())
    return 0


async def _run(command: Command, arguments: argparse.Namespace, settings: ConsoleSettings) -> int:
    async with _tools(settings) as tools:
        return await command(arguments, tools)


@asynccontextmanager
async def _serving(app: FastAPI, settings: ConsoleSettings) -> AsyncIterator[None]:
    """Connections and background work of `serve`; stops them in order."""
    engine = make_engine(_secret(settings.database_url), "console-api")
    repair: RepairJob | None = None

    async def reconnected() -> None:
        if repair is not None:
            repair.hasten()

    nc = await connect(_secret(settings.nats_url), "console-api", reconnected)
    await require(nc.jetstream(timeout=5), USAGE.name, IDENTITY.name, KEYS.stream, CATALOG.stream)
    relay = OutboxRelay(engine, nc, tables.outbox)
    # A change is answered when the edges have been told of it, so that a new key works at once and a revoked one no more.
    database = PostgresDatabase(engine, partial(relay.wait_published, PUBLISHED_WAIT_S))
    metrics: ConsoleMetrics = app.state.metrics
    tracing = tracing_of("tokentally-console-api")
    meter = UsageMeter("console", "ingest usage", metrics.registry, tracing)
    consumer = UsageConsumer(nc, database, meter)
    app.state.context = Context(
        settings=settings,
        credit=make_credit(settings.credit_name, settings.credits_per_usd),
        database=database,
        billing=BillingClient(nc),
        deposits=DepositsClient(nc),
        passwords=Argon2Passwords(),
        trusted_proxies=_networks(settings.trusted_proxies),
        provider_networks=_networks(settings.provider_networks),
    )
    app.state.checks.update(database=database.check, nats=_nats_check(nc), usage=_consumer_check(consumer))
    stopping = asyncio.Event()
    repair = RepairJob(database, nc)
    work = [
        asyncio.create_task(relay.run(stopping)),
        asyncio.create_task(repair.run(stopping)),
        asyncio.create_task(sweep_expired(database, stopping)),
        asyncio.create_task(make_usage_months(database, stopping)),
        asyncio.create_task(measure_for_ever(engine, nc, metrics, meter, stopping)),
        asyncio.create_task(consumer.run()),
    ]
    try:
        yield
    finally:
        stopping.set()
        consumer.stop()
        relay.poke()
        await asyncio.wait(work, timeout=STOP_TIMEOUT_S)
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await nc.close()
        await engine.dispose()
        await asyncio.to_thread(tracing.close)


def _nats_check(nc: Client) -> Check:
    async def check() -> str | None:
        return None if nc.is_connected else "not connected"

    return check


def _consumer_check(consumer: UsageConsumer) -> Check:
    async def check() -> str | None:
        return None if consumer.healthy else "the usage consumer is not reading"

    return check


async def _later() -> None:
    """A command publishes once, at its end."""


@asynccontextmanager
async def _tools(settings: ConsoleSettings) -> AsyncIterator[Tools]:
    """Connections for one command; what it put into the outbox is published before they close."""
    engine = make_engine(_secret(settings.database_url), "console-command", COMMAND_POOL_SIZE)
    nc = await connect(_secret(settings.nats_url), "console-command")
    relay = OutboxRelay(engine, nc, tables.outbox)
    try:
        yield Tools(settings, PostgresDatabase(engine, _later), nc, BillingClient(nc))
        await drain_outbox(engine, relay)
    finally:
        await nc.close()
        await engine.dispose()


async def _seed(arguments: argparse.Namespace, tools: Tools) -> int:
    try:
        text = arguments.catalog.read_bytes()
    except OSError as error:
        return _complain(f"the catalog file can't be read: {error.strerror}: {arguments.catalog}")
    done = await seed_catalog(tools.database, tools.billing, parse_catalog(text, os.environ), now_ms())
    _say(f"{done.providers} providers, {done.models} models, {done.prices} new prices")
    return 0


async def _demo(arguments: argparse.Namespace, tools: Tools) -> int:
    known = _read_key(arguments.key_file)
    prefix = tools.settings.key_prefix
    demo = await make_demo(tools.database, Argon2Passwords(), tools.billing, prefix, known, now_ms())
    if demo.password is not None:
        _warn(f"demo account: demo@example.com, password {demo.password} (shown once)")
    _say(demo.plaintext)
    return 0


def _read_key(file: Path | None) -> str | None:
    return file.read_text().strip() if file is not None and file.exists() else None


async def _create_operator(arguments: argparse.Namespace, tools: Tools) -> int:
    password = os.environ.get("CONSOLE_OPERATOR_PASSWORD") or getpass.getpass("Password: ")
    user = await create_operator(tools.database, Argon2Passwords(), arguments.email, password, now_ms())
    _warn(f"{user.email} is an operator")
    return 0


async def _resend_wallets(arguments: argparse.Namespace, tools: Tools) -> int:
    since_ms = now_ms() - int(arguments.hours * MS_PER_HOUR)
    done = await resend_wallets(tools.database, tools.billing, since_ms)
    for change in done.unanswered:
        _warn(f"never answered: {rfc3339(change.at_ms)} {change.action} {json.dumps(change.after)}")
    _say(f"{done.adjustments} adjustments and {done.configurations} configurations sent again")
    return 0


async def _rebuild_usage(_: argparse.Namespace, tools: Tools) -> int:
    rows = await rebuild_usage(tools.database, tools.billing, JetStreamUsage(tools.nc))
    _say(f"{rows} calls")
    return 0


_COMMANDS: dict[str, Command] = {
    "seed": _seed,
    "demo": _demo,
    "create-operator": _create_operator,
    "rebuild-usage": _rebuild_usage,
    "resend-wallets": _resend_wallets,
}


def _networks(texts: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def _secret(value: SecretStr) -> str:
    return value.get_secret_value()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _warn(text: str) -> None:
    sys.stderr.write(text + "\n")


def _complain(text: str) -> int:
    _warn(text)
    return 1
