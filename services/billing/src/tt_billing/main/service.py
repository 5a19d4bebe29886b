"""The running service: connections, RPC server, consumers and jobs, as the lifespan of its health app.

Whatever fails later (NATS, PostgreSQL) is waited out; only what is missing at the start refuses it.
"""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from nats.aio.client import Client
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from tt_billing.api import rpc
from tt_billing.clients.edges import EdgeRecaller
from tt_billing.clients.price_bucket import read_price_records
from tt_billing.consumers import deposits, usage
from tt_billing.domain.grants import GrantTerms
from tt_billing.jobs.chores import Chore, Chores
from tt_billing.jobs.measure import Measuring
from tt_billing.jobs.reconciliation import reconcile_now
from tt_billing.jobs.sweeper import Sweeper
from tt_billing.jobs.usage_purge import purge_usage
from tt_billing.settings import Settings
from tt_billing.store.database import PostgresDatabase
from tt_billing.store.outbox import OUTBOX
from tt_billing.usecases.context import Context
from tt_billing.usecases.grant_batch import GrantBatch
from tt_billing.usecases.metrics import BillingMetrics
from tt_billing.usecases.prices import push_all_prices
from tt_billing.usecases.resume import adopt_prices, doubt_grants
from tt_common.bus.connection import connect
from tt_common.bus.consumer import PullConsumer, StreamPosition
from tt_common.bus.rpc import RpcServer
from tt_common.clock import steady_clock
from tt_common.contracts.streams import BILLING, CATALOG, DEPOSITS, USAGE
from tt_common.crash_points import crash_check
from tt_common.db.availability import check_database, wait_for_database
from tt_common.db.engine import make_engine
from tt_common.db.outbox import OutboxRelay
from tt_common.db.positions import read_position
from tt_common.deploy import require
from tt_common.garbage import freeze_long_lived
from tt_common.telemetry.consuming import UsageMeter
from tt_common.telemetry.setup import tracing_of
from tt_common.web.health import Check, health_router
from tt_common.web.metrics import metrics_router, new_registry

log = logging.getLogger(__name__)

VERSION = "1.0.0"
STOP_TIMEOUT_S = 10.0
PUSH_PRICES_EVERY_S = 300.0
PURGE_EVERY_S = 30.0
FIRST_RECONCILIATION_AFTER_S = 60.0
"""A batch makes tens of thousands of objects that die together: collecting in the midst of it finds nothing."""


class Service:
    """One process of billing. `start`, then `stop`; `check_*` answer /readyz."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._engine: AsyncEngine = make_engine(settings.database_url, "tt-billing")
        self._nc: Client | None = None
        self._consumers: list[PullConsumer] = []
        self._slow_jobs: Chores | None = None
        self._server: RpcServer | None = None
        self._tracing = tracing_of("tokentally-billing")
        self.metrics = BillingMetrics(new_registry())

    async def start(self) -> None:
        """Connect, check what is needed, serve. Raises where NATS, its streams or the database are missing."""
        settings = self._settings
        if settings.nats_url is None:
            raise RuntimeError("BILLING_NATS_URL is not set")
        nc = self._nc = await connect(settings.nats_url, "tt-billing", self._reconnected)
        await require(nc.jetstream(timeout=5), USAGE.name, BILLING.name, DEPOSITS.name, CATALOG.stream)
        await wait_for_database(self._engine, "SELECT clock_ms FROM billing_clock")
        relay = OutboxRelay(self._engine, nc, OUTBOX)
        context = make_context(settings, self._engine, relay, self.metrics)
        meter = UsageMeter("billing", "settle usage", self.metrics.registry, self._tracing)
        batch = GrantBatch(context)
        recaller = EdgeRecaller(nc, batch.shrink, settings.recall_wait_s, self.metrics)
        await recaller.start()
        await adopt_prices(context, await read_price_records(nc))
        self._consumers = [self._usage_consumer(nc, context, meter), self._deposits_consumer(nc, context)]
        if any([await consumer.prepare() for consumer in self._consumers]):
            last_seq = (await nc.jetstream(timeout=5).stream_info(USAGE.name)).state.last_seq
            doubted = await doubt_grants(context, last_seq, settings.lost_grant_s)
            log.error("the database was restored from a backup: streams are read again", extra={"grants": doubted})
        self._spawn(batch.run())
        for consumer in self._consumers:
            self._spawn(consumer.run())
        self._spawn(relay.run(self._stopping))
        self._spawn(Sweeper(context, self._engine, nc, settings.lost_grant_s).run(self._stopping))
        self._spawn(Measuring(self._engine, nc, self.metrics, meter).run(self._stopping))
        self._slow_jobs = self._chores(context, nc)
        self._spawn(self._slow_jobs.run(self._stopping))
        server = self._server = RpcServer(nc, "billing", VERSION, self._tracing, self.metrics.observe_rpc)
        rpc.register(server, context, batch, recaller.recall)
        await server.start()
        freeze_long_lived()
        log.info("billing serves")

    def _usage_consumer(self, nc: Client, context: Context, meter: UsageMeter) -> PullConsumer:
        handler = usage.UsageHandler(context, lambda: consumer.created, meter, self._went_back)
        consumer = PullConsumer(
            nc,
            USAGE.name,
            usage.DURABLE,
            USAGE.subjects[0],
            handler.handle,
            lambda: self._position(USAGE.name),
            batch_max=usage.BATCH_MAX,
            ack_wait_s=usage.ACK_WAIT_S,
            batch_every_s=usage.BATCH_EVERY_S,
            in_flight=usage.BATCHES_IN_FLIGHT,
        )
        return consumer

    def _deposits_consumer(self, nc: Client, context: Context) -> PullConsumer:
        handler = deposits.DepositsHandler(context, lambda: consumer.created, self._went_back)
        consumer = PullConsumer(
            nc,
            DEPOSITS.name,
            deposits.DURABLE,
            deposits.SUBJECT,
            handler.handle,
            lambda: self._position(DEPOSITS.name),
            batch_max=deposits.BATCH_MAX,
            ack_wait_s=deposits.ACK_WAIT_S,
        )
        return consumer

    async def _position(self, stream: str) -> StreamPosition | None:
        async with self._engine.connect() as connection:
            return await read_position(connection, stream)

    def _went_back(self) -> None:
        """Whoever starts this process again starts it with what the restored database knows."""
        log.critical("the database was restored under this process, ending it")
        os.kill(os.getpid(), signal.SIGTERM)

    def _chores(self, context: Context, nc: Client) -> Chores:
        every_s = self._settings.reconcile_every_s
        first_s = min(every_s, FIRST_RECONCILIATION_AFTER_S)
        return Chores(
            self._engine,
            [
                Chore("push prices", PUSH_PRICES_EVERY_S, lambda: push_all_prices(context), on_reconnect=True),
                Chore("purge usage", PURGE_EVERY_S, lambda: purge_usage(nc)),
                Chore("reconcile", every_s, lambda: reconcile_now(context, nc), first_after_s=first_s),
            ],
        )

    def _spawn(self, job: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(job))

    async def stop(self) -> None:
        """Take no more requests, finish those and the batch in hand, close."""
        if self._server is not None:
            await self._server.stop()
        for consumer in self._consumers:
            consumer.stop()
        self._stopping.set()
        # The grant batch runs until cancelled: no request is left to wait for it.
        others = self._tasks[1:]
        if others:
            await asyncio.wait(others, timeout=STOP_TIMEOUT_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._nc is not None:
            await self._nc.close()
        await self._engine.dispose()
        await asyncio.to_thread(self._tracing.close)
        log.info("billing stopped")

    async def _reconnected(self) -> None:
        if self._slow_jobs is not None:
            self._slow_jobs.hasten()

    async def check_database(self) -> str | None:
        return await check_database(self._engine)

    async def check_bus(self) -> str | None:
        if self._nc is None or not self._nc.is_connected:
            return "not connected to NATS"
        return None

    async def check_tasks(self) -> str | None:
        return "a job has ended" if any(task.done() for task in self._tasks) else None


def make_context(
    settings: Settings,
    engine: AsyncEngine,
    relay: OutboxRelay | None = None,
    metrics: BillingMetrics | None = None,
) -> Context:
    """What the use cases get; without a relay the outbox waits for the service's, without metrics nobody asks for them."""
    return Context(
        database=PostgresDatabase(engine),
        terms=GrantTerms(soft_ttl_s=settings.grant_soft_ttl_s, hard_ttl_s=settings.grant_hard_ttl_s),
        deposits_network=settings.deposits_network,
        now_ms=steady_clock(),
        poke_outbox=relay.poke if relay is not None else lambda: None,
        crash=crash_check(settings.crash_at, settings.crash_after),
        metrics=metrics or BillingMetrics(CollectorRegistry()),
    )


def health_app(settings: Settings) -> FastAPI:
    """GET /healthz, /readyz and /metrics; the service lives as long as the app."""
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            await service.start()
            yield
        finally:
            await service.stop()

    app = FastAPI(title="TokenTally billing", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    checks: dict[str, Check] = {
        "database": service.check_database,
        "nats": service.check_bus,
        "jobs": service.check_tasks,
    }
    app.include_router(health_router(checks))
    app.include_router(metrics_router(service.metrics.registry))
    return app
