"""The connections and background work of `serve`: made, started, and stopped in order."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from nats.aio.client import Client
from pydantic import SecretStr

from tt_common.bus.connection import connect
from tt_common.contracts.streams import CATALOG, DEPOSITS, IDENTITY, KEYS, USAGE
from tt_common.db.engine import make_engine
from tt_common.db.outbox import OutboxRelay
from tt_common.deploy import require
from tt_common.telemetry.consuming import UsageMeter
from tt_common.telemetry.setup import tracing_of
from tt_common.web.health import Check
from tt_common.web.leaving import Leaving
from tt_console.api.context import Context
from tt_console.clients.billing import BillingClient
from tt_console.clients.deposit_feed import DepositFeeds
from tt_console.clients.deposits import DepositsClient
from tt_console.clients.passwords import Argon2Passwords
from tt_console.clients.webhook_sender import WebhookSender
from tt_console.consumers.deposits import DepositsConsumer
from tt_console.consumers.usage import UsageConsumer
from tt_console.domain.prices import make_credit
from tt_console.jobs.measure import measure_for_ever
from tt_console.jobs.repair import RepairJob
from tt_console.jobs.sweep import sweep_expired
from tt_console.jobs.usage_months import make_usage_months
from tt_console.jobs.webhooks import WebhookJob
from tt_console.settings import ConsoleSettings
from tt_console.store import tables
from tt_console.store.database import PostgresDatabase
from tt_console.usecases.metrics import ConsoleMetrics

STOP_TIMEOUT_S = 10.0
PUBLISHED_WAIT_S = 1.0


@asynccontextmanager
async def serving(app: FastAPI, settings: ConsoleSettings, leaving: Leaving) -> AsyncIterator[None]:
    """Connections and background work of `serve`; stops them in order."""
    engine = make_engine(_secret(settings.database_url), "console-api")
    repair: RepairJob | None = None
    feeds: DepositFeeds | None = None

    async def reconnected() -> None:
        if repair is not None:
            repair.hasten()
        if feeds is not None:
            feeds.reconnected()

    nc = await connect(_secret(settings.nats_url), "console-api", reconnected)
    await require(nc.jetstream(timeout=5), USAGE.name, IDENTITY.name, DEPOSITS.name, KEYS.stream, CATALOG.stream)
    relay = OutboxRelay(engine, nc, tables.outbox)
    # A change is answered when the edges have been told of it, so that a new key works at once and a revoked one no more.
    database = PostgresDatabase(engine, partial(relay.wait_published, PUBLISHED_WAIT_S))
    metrics: ConsoleMetrics = app.state.metrics
    tracing = tracing_of("tokentally-console-api")
    meter = UsageMeter("console", "ingest usage", metrics.registry, tracing)
    usage, deposit_events = UsageConsumer(nc, database, meter), DepositsConsumer(nc, database)
    webhook_networks = _networks(settings.webhook_networks)
    sender = WebhookSender(webhook_networks)
    deposits = DepositsClient(nc)
    feeds = DepositFeeds(nc, deposits, metrics)
    app.state.context = Context(
        settings=settings,
        credit=make_credit(settings.credit_name, settings.credits_per_usd),
        database=database,
        billing=BillingClient(nc),
        deposits=deposits,
        feeds=feeds,
        passwords=Argon2Passwords(),
        trusted_proxies=_networks(settings.trusted_proxies),
        provider_networks=_networks(settings.provider_networks),
        webhook_networks=webhook_networks,
    )
    app.state.checks.update(
        database=database.check,
        nats=_nats_check(nc),
        usage=_consumer_check("usage", usage),
        deposits=_consumer_check("deposits", deposit_events),
    )
    stopping = asyncio.Event()
    repair = RepairJob(database, nc)
    work = [
        asyncio.create_task(relay.run(stopping)),
        asyncio.create_task(repair.run(stopping)),
        asyncio.create_task(sweep_expired(database, stopping)),
        asyncio.create_task(make_usage_months(database, stopping)),
        asyncio.create_task(measure_for_ever(engine, nc, metrics, meter, stopping)),
        asyncio.create_task(WebhookJob(database, sender, metrics).run(stopping)),
        asyncio.create_task(usage.run()),
        asyncio.create_task(deposit_events.run()),
        asyncio.create_task(_end_streams(leaving, feeds)),
    ]
    try:
        yield
    finally:
        stopping.set()
        leaving.stopping.set()
        usage.stop()
        deposit_events.stop()
        relay.poke()
        await asyncio.wait(work, timeout=STOP_TIMEOUT_S)
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await sender.close()
        await nc.close()
        await engine.dispose()
        await asyncio.to_thread(tracing.close)


async def _end_streams(leaving: Leaving, feeds: DepositFeeds) -> None:
    """An event stream has no end of its own: without this the server would wait for it as long as it may."""
    await leaving.stopping.wait()
    feeds.end_all()


def _nats_check(nc: Client) -> Check:
    async def check() -> str | None:
        return None if nc.is_connected else "not connected"

    return check


def _consumer_check(name: str, consumer: UsageConsumer | DepositsConsumer) -> Check:
    async def check() -> str | None:
        return None if consumer.healthy else f"the {name} consumer is not reading"

    return check


def _networks(texts: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def _secret(value: SecretStr) -> str:
    return value.get_secret_value()
