"""The running service: connections, RPC server and jobs, as the lifespan of its health app.

Whatever fails later (NATS, PostgreSQL, nodes) is waited out; only what is missing at the start, another xpub or another network than
the database's refuses it.
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

from tt_common.bus.connection import connect
from tt_common.bus.consumer import PullConsumer, StreamPosition
from tt_common.bus.rpc import RpcServer
from tt_common.clock import steady_clock
from tt_common.contracts.streams import ADDRESSES, BILLING, DEPOSITS
from tt_common.crash_points import crash_check
from tt_common.db.availability import check_database, wait_for_database
from tt_common.db.engine import make_engine
from tt_common.db.outbox import OutboxRelay
from tt_common.db.positions import read_position
from tt_common.deploy import require
from tt_common.garbage import freeze_long_lived
from tt_common.telemetry.setup import tracing_of
from tt_common.web.health import Check, health_router
from tt_common.web.metrics import metrics_router, new_registry
from tt_deposits.api import rpc
from tt_deposits.clients.assignments import AssignmentStream
from tt_deposits.clients.billing import BillingLedger
from tt_deposits.clients.node_pool import NodePool
from tt_deposits.clients.nodes import make_nodes
from tt_deposits.clients.nodes_reconcile import make_witnesses
from tt_deposits.consumers.booked import ACK_WAIT_S, BATCH_MAX, DURABLE, SUBJECT, BookedHandler
from tt_deposits.domain.base58 import address_bytes
from tt_deposits.domain.derivation import AccountKey
from tt_deposits.domain.records import Rules
from tt_deposits.jobs.addresses import run_addresses
from tt_deposits.jobs.assignments import run_assignments
from tt_deposits.jobs.book_again import run_book_again
from tt_deposits.jobs.head import run_head
from tt_deposits.jobs.measure import Measuring
from tt_deposits.jobs.orders import run_order_expiry
from tt_deposits.jobs.reconciliation import Reconciler
from tt_deposits.jobs.scanner import run_scanner
from tt_deposits.settings import Settings
from tt_deposits.store.database import PostgresDatabase
from tt_deposits.store.outbox import OUTBOX
from tt_deposits.usecases.adopt_addresses import adopt_addresses
from tt_deposits.usecases.context import Context, Watch
from tt_deposits.usecases.metrics import DepositsMetrics
from tt_deposits.usecases.pin_xpub import pin_xpub
from tt_deposits.usecases.progress import Progress

log = logging.getLogger(__name__)

VERSION = "1.0.0"
STOP_TIMEOUT_S = 10.0


class Service:
    """One process of deposits. `start`, then `stop`; `check_*` answer /readyz."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._engine: AsyncEngine = make_engine(settings.database_url, "tt-deposits")
        self._nc: Client | None = None
        self._pool: NodePool | None = None
        self._asked_apart: NodePool | None = None
        self._server: RpcServer | None = None
        self._booked: PullConsumer | None = None
        self._tracing = tracing_of("tokentally-deposits")
        self.metrics = DepositsMetrics(new_registry())

    async def start(self) -> None:
        """Connect, check what is needed, serve. Raises where NATS, its streams, the database, xpub or nodes are missing or wrong."""
        settings = self._settings
        if settings.nats_url is None:
            raise RuntimeError("DEPOSITS_NATS_URL is not set")
        pool = self._pool = make_pool(settings, self.metrics)
        nc = self._nc = await connect(settings.nats_url, "tt-deposits")
        await require(nc.jetstream(timeout=5), DEPOSITS.name, BILLING.name, ADDRESSES.name)
        await wait_for_database(self._engine, "SELECT count(*) FROM xpub_pin")
        relay = OutboxRelay(self._engine, nc, OUTBOX, crash_check(settings.crash_at, settings.crash_after))
        context = make_context(settings, self._engine, pool, relay, self.metrics)
        await pin_xpub(context, settings.xpub_fingerprint)
        assignments = AssignmentStream(nc)
        # Before anything is given out, and before a block is read without them.
        await adopt_addresses(context, assignments)
        booked = self._booked = self._booked_consumer(nc, context)
        if await booked.prepare():
            log.error("the database was restored from a backup: what billing has booked is read again")
        # Clients of their own: a node that refuses what reconciliation asks is still good for the scanner.
        asked_apart = self._asked_apart = make_pool(settings, self.metrics)
        witnesses = make_witnesses(asked_apart.all(), context.watch.contract)
        reconciler = Reconciler(context, self._engine, witnesses, BillingLedger(nc), settings.reconcile_every_s)
        self._spawn(relay.run(self._stopping))
        self._spawn(booked.run())
        self._spawn(run_book_again(context, self._engine, self._stopping))
        self._spawn(run_order_expiry(context, self._engine, self._stopping))
        self._spawn(reconciler.run(self._stopping))
        self._spawn(run_scanner(context, self._engine, self._stopping))
        self._spawn(run_head(context, self._engine, self._stopping))
        self._spawn(run_assignments(context, assignments, self._engine, self._stopping))
        self._spawn(run_addresses(context, self._engine, self._stopping))
        self._spawn(Measuring(context, self._engine, nc).run(self._stopping))
        server = self._server = RpcServer(nc, "deposits", VERSION, self._tracing, self.metrics.observe_rpc)
        rpc.register(server, context, assignments, witnesses, reconciler.ask)
        await server.start()
        freeze_long_lived()
        log.info("deposits serves", extra={"network": settings.network, "fingerprint": context.key.fingerprint})

    def _booked_consumer(self, nc: Client, context: Context) -> PullConsumer:
        async def position() -> StreamPosition | None:
            async with self._engine.connect() as connection:
                return await read_position(connection, BILLING.name)

        handler = BookedHandler(context, lambda: self._booked.created if self._booked else "", self._went_back)
        return PullConsumer(
            nc,
            BILLING.name,
            DURABLE,
            SUBJECT,
            handler.handle,
            position,
            batch_max=BATCH_MAX,
            ack_wait_s=ACK_WAIT_S,
        )

    def _went_back(self) -> None:
        """Whoever starts this process again starts it with what the restored database knows."""
        log.critical("the database was restored under this process, ending it")
        os.kill(os.getpid(), signal.SIGTERM)

    def _spawn(self, job: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(job))

    async def stop(self) -> None:
        """Take no more requests, finish those and the block in hand, close."""
        if self._server is not None:
            await self._server.stop()
        if self._booked is not None:
            self._booked.stop()
        self._stopping.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_TIMEOUT_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pool in (self._pool, self._asked_apart):
            if pool is not None:
                await pool.close()
        if self._nc is not None:
            await self._nc.close()
        await self._engine.dispose()
        await asyncio.to_thread(self._tracing.close)
        log.info("deposits stopped")

    async def check_database(self) -> str | None:
        return await check_database(self._engine)

    async def check_bus(self) -> str | None:
        if self._nc is None or not self._nc.is_connected:
            return "not connected to NATS"
        return None

    async def check_tasks(self) -> str | None:
        return "a job has ended" if any(task.done() for task in self._tasks) else None


def make_pool(settings: Settings, metrics: DepositsMetrics) -> NodePool:
    """Clients of the configured nodes. RuntimeError where there are none, or a key is missing."""
    if not settings.nodes:
        raise RuntimeError("DEPOSITS_NODES names no node")
    nodes = make_nodes(settings.nodes, os.environ, settings.node_timeout_s, metrics)
    return NodePool(nodes, settings.solid_lag_max_s, steady_clock())


def make_context(
    settings: Settings,
    engine: AsyncEngine,
    pool: NodePool,
    relay: OutboxRelay | None = None,
    metrics: DepositsMetrics | None = None,
) -> Context:
    """What the use cases get; without a relay the outbox waits for the service's. Raises WrongXpub, ValueError for a wrong contract."""
    return Context(
        database=PostgresDatabase(engine),
        nodes=pool,
        key=AccountKey(settings.xpub),
        rules=Rules(
            network=settings.network,
            minimum_micro_usdt=settings.minimum_micro_usdt,
            review_above_micro_usdt=settings.review_above_micro_usdt,
            order_ttl_s=settings.order_ttl_s,
        ),
        watch=Watch(
            contract=address_bytes(settings.usdt_contract),
            start_height=settings.start_height,
            spare_addresses=settings.spare_addresses,
            solid_lag_max_s=settings.solid_lag_max_s,
            poll_s=settings.poll_s,
            check_root=settings.check_root,
        ),
        now_ms=steady_clock(),
        poke_outbox=relay.poke if relay is not None else lambda: None,
        crash=crash_check(settings.crash_at, settings.crash_after),
        metrics=metrics or DepositsMetrics(CollectorRegistry()),
        progress=Progress(),
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

    app = FastAPI(title="TokenTally deposits", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    checks: dict[str, Check] = {
        "database": service.check_database,
        "nats": service.check_bus,
        "jobs": service.check_tasks,
    }
    app.include_router(health_router(checks))
    app.include_router(metrics_router(service.metrics.registry))
    return app
