"""The one-shot commands: seed, demo, create-operator, resend-wallets, rebuild-usage."""

import argparse
import getpass
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from nats.aio.client import Client

from tt_common.bus.connection import connect
from tt_common.clock import now_ms, rfc3339
from tt_common.db.engine import make_engine
from tt_common.db.outbox import OutboxRelay
from tt_console.clients.billing import BillingClient
from tt_console.clients.passwords import Argon2Passwords
from tt_console.clients.usage_stream import JetStreamUsage
from tt_console.domain.catalog_file import parse_catalog
from tt_console.jobs.outbox import drain_outbox
from tt_console.settings import ConsoleSettings
from tt_console.store import tables
from tt_console.store.database import PostgresDatabase
from tt_console.usecases.make_demo import make_demo
from tt_console.usecases.rebuild_usage import rebuild_usage
from tt_console.usecases.resend_wallets import resend_wallets
from tt_console.usecases.seed_catalog import seed_catalog
from tt_console.usecases.sign_up import create_operator

COMMAND_POOL_SIZE = 4
MS_PER_HOUR = 3_600_000


@dataclass(frozen=True)
class Tools:
    """What the one-shot commands work with."""

    settings: ConsoleSettings
    database: PostgresDatabase
    nc: Client
    billing: BillingClient


Command = Callable[[argparse.Namespace, Tools], Awaitable[int]]


async def run(command: Command, arguments: argparse.Namespace, settings: ConsoleSettings) -> int:
    async with _tools(settings) as tools:
        return await command(arguments, tools)


async def _later() -> None:
    """A command publishes once, at its end."""


@asynccontextmanager
async def _tools(settings: ConsoleSettings) -> AsyncIterator[Tools]:
    """Connections for one command; what it put into the outbox is published before they close."""
    engine = make_engine(settings.database_url.get_secret_value(), "console-command", COMMAND_POOL_SIZE)
    nc = await connect(settings.nats_url.get_secret_value(), "console-command")
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
        return complain(f"the catalog file can't be read: {error.strerror}: {arguments.catalog}")
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


COMMANDS: dict[str, Command] = {
    "seed": _seed,
    "demo": _demo,
    "create-operator": _create_operator,
    "rebuild-usage": _rebuild_usage,
    "resend-wallets": _resend_wallets,
}


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _warn(text: str) -> None:
    sys.stderr.write(text + "\n")


def complain(text: str) -> int:
    """A line on stderr; returns the exit code of a command that failed."""
    _warn(text)
    return 1
