"""Wiring of the edge: settings -> NATS, mirrors, journal, credit -> the ASGI app -> uvicorn; and the way down again."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from prometheus_client import generate_latest

from tt_common.bus.connection import connect
from tt_common.bus.lean_client import LeanClient
from tt_common.contracts.grants import CloseEpoch
from tt_common.contracts.streams import CATALOG, IDEMPOTENCY, KEYS, RESPONSES, RESPONSES_CACHE, USAGE
from tt_common.deploy import require
from tt_common.errors import DomainError
from tt_common.garbage import freeze_long_lived
from tt_common.telemetry.setup import tracing_of
from tt_common.telemetry.tracing import Tracing
from tt_common.web.health import Check
from tt_common.web.leaving import Leaving
from tt_common.web.metrics import new_registry
from tt_common.web.serve import serve
from tt_edge.api.app import EdgeApp
from tt_edge.api.metrics import EdgeCollector
from tt_edge.cache.answers import AnswerCache
from tt_edge.cache.memory import AnswerMemory
from tt_edge.clients.billing import BillingClient
from tt_edge.clients.idempotency import IdempotencyStore
from tt_edge.clients.shared_answers import SharedAnswers
from tt_edge.clients.spool import SpoolRoom
from tt_edge.clients.upstream import Upstream
from tt_edge.clients.usage_publisher import UsagePublisher
from tt_edge.crash_points import crash_check
from tt_edge.credit.keeper import CreditKeeper
from tt_edge.jobs.recovery import recover_for_ever
from tt_edge.jobs.upkeep import upkeep_for_ever
from tt_edge.journal.folders import claim
from tt_edge.journal.journal import Journal
from tt_edge.routing.routes import RouteBook
from tt_edge.settings import Settings
from tt_edge.store.catalog import Catalog
from tt_edge.store.keys import KeyDirectory
from tt_edge.usecases.gateway import Gateway, Limits
from tt_edge.workers.place import Place, bound
from tt_edge.workers.siblings import Answer, Question, Siblings

log = logging.getLogger(__name__)

MIRROR_WAIT_S = 5.0
SHUTDOWN_S = 5.0


class Worker:
    """One edge worker while it runs."""

    def __init__(self, settings: Settings, tracing: Tracing, place: Place | None) -> None:
        self.settings = settings
        self.place = place
        self.tracing = tracing
        self.nc: LeanClient | None = None
        self.gateway: Gateway | None = None
        self.registry = new_registry()
        self.registry.register(EdgeCollector(lambda: self.gateway, self.connected))
        self.leaving = Leaving(settings.leave_s)
        self.checks: dict[str, Check] = {
            "nats": self.check_nats,
            "config": self.check_loaded,
            "leaving": self.leaving.check,
        }
        self.siblings: Siblings | None = None
        if place is not None:
            answers: dict[Question, Answer] = {"metrics": self.own_metrics, "ready": self.own_readiness}
            self.siblings = Siblings(place.index, place.workers, place.sockets_dir, answers)

    def app(self) -> EdgeApp:
        """In a group, health and metrics are the group's."""
        if self.siblings is None:
            return EdgeApp(self.lifespan, self.checks, self.registry)
        return EdgeApp(self.lifespan, {"workers": self.siblings.check_ready}, self.siblings.metrics)

    async def own_metrics(self) -> bytes:
        return generate_latest(self.registry)

    async def own_readiness(self) -> bytes:
        reasons = [f"{name}: {reason}" for name, check in self.checks.items() if (reason := await check())]
        return ", ".join(reasons).encode()

    async def reconnected(self) -> None:
        """NATS is back: read at once what was missed."""
        if self.gateway is not None:
            self.gateway.keys.mirror.refresh()
            self.gateway.catalog.mirror.refresh()

    def connected(self) -> bool:
        return self.nc is not None and self.nc.is_connected

    async def check_nats(self) -> str | None:
        return None if self.connected() else "not connected to NATS"

    async def check_loaded(self) -> str | None:
        gateway = self.gateway
        loaded = gateway is not None and gateway.keys.mirror.loaded and gateway.catalog.mirror.loaded
        return None if loaded else "keys and catalog are not loaded yet"

    async def lifespan(self, app: EdgeApp) -> AsyncIterator[None]:
        """Up, serve, down. On the way down: no new calls, grants closed, events settled, epoch closed."""
        settings = self.settings
        self.nc = nc = await connect(settings.nats_url, "tt-edge", self.reconnected)
        await require(
            nc.jetstream(timeout=5),
            USAGE.name,
            RESPONSES.name,
            RESPONSES_CACHE.name,
            KEYS.stream,
            CATALOG.stream,
            IDEMPOTENCY.stream,
        )
        folder = claim(settings.journal_dir)
        journal = Journal(folder, settings.journal_segment_bytes)
        billing = BillingClient(nc, self.tracing)
        gateway = self.gateway = self._gateway(nc, journal, billing)
        await billing.subscribe_recalls(gateway.credit.recall)
        await gateway.keys.mirror.start(MIRROR_WAIT_S)
        await gateway.catalog.mirror.start(MIRROR_WAIT_S)
        tasks = [
            _supervised("publisher", gateway.publisher.run()),
            _supervised("upkeep", upkeep_for_ever(gateway.credit)),
            _supervised("idempotency", gateway.idempotency.run()),
            _supervised(
                "recovery", recover_for_ever(nc, settings.journal_dir, folder, journal.boot_epoch, gateway.crash)
            ),
        ]
        freeze_long_lived()
        app.gateway = gateway
        facts = {"edge_id": journal.edge_id, "boot_epoch": journal.boot_epoch, "port": settings.port}
        if self.siblings is not None and self.place is not None:
            await self.siblings.start()
            self.place.tell_ready()
            facts["worker"] = self.place.index
        log.info("edge ready", extra=facts)
        try:
            yield
        finally:
            await self._down(gateway, journal, billing, tasks)
            if self.siblings is not None:
                self.siblings.stop()
            folder.release()
            await nc.close()
            await asyncio.to_thread(self.tracing.close)

    def _gateway(self, nc: LeanClient, journal: Journal, billing: BillingClient) -> Gateway:
        settings = self.settings
        limits = Limits(
            key_prefixes=settings.key_prefixes,
            trusted_proxies=settings.trusted_proxies,
            json_body_bytes_max=settings.json_body_bytes_max,
            form_bytes_max=settings.form_bytes_max,
            answer_bytes_max=settings.answer_bytes_max,
            drain_s=settings.drain_s,
            unsettled_nanousd_max=settings.unsettled_nanousd_max,
        )
        credit = CreditKeeper(
            billing,
            journal.edge_id,
            journal.boot_epoch,
            wait_s=settings.billing_wait_s,
            idle_s=settings.idle_grant_s,
            age_s_max=settings.grant_age_s_max,
        )
        memory = AnswerMemory(settings.cache_entries_max, settings.cache_bytes_max)
        return Gateway(
            limits=limits,
            keys=KeyDirectory(nc),
            catalog=Catalog(nc),
            credit=credit,
            routes=RouteBook(),
            upstream=Upstream(),
            journal=journal,
            publisher=UsagePublisher(nc, journal),
            idempotency=IdempotencyStore(nc),
            answers=AnswerCache(memory, SharedAnswers(nc), settings.cache_ttl_s),
            spools=SpoolRoom(settings.spool_dir, settings.spool_bytes_max),
            crash=crash_check(settings.crash_at, settings.crash_after),
            tracing=self.tracing,
        )

    async def _down(
        self, gateway: Gateway, journal: Journal, billing: BillingClient, tasks: list[asyncio.Task[None]]
    ) -> None:
        log.info("edge draining", extra={"uncovered": journal.depth})
        await gateway.idempotency.close(SHUTDOWN_S)
        await gateway.answers.close(SHUTDOWN_S)
        await gateway.credit.close(SHUTDOWN_S)
        flushed = await gateway.publisher.flush(SHUTDOWN_S)
        epoch_closed = False
        if flushed and journal.open_calls == 0:
            request = CloseEpoch(
                edge_id=journal.edge_id,
                boot_epoch=journal.boot_epoch,
                last_seq=journal.last_seq,
                cost_nanousd=journal.cost_nanousd,
                reason="drained",
            )
            with contextlib.suppress(DomainError):
                await billing.close_epoch(request, 2.0)
                epoch_closed = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for mirror in (gateway.keys.mirror, gateway.catalog.mirror):
            await mirror.stop()
        await gateway.upstream.close()
        journal.close(epoch_closed)
        log.info("edge stopped", extra={"epoch_closed": epoch_closed, "left_for_next_boot": journal.depth})


def _supervised(name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A background task whose death is never silent: it is logged and ends the process, which is then started anew."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("background task died", exc_info=error, extra={"task": name})
            os.kill(os.getpid(), signal.SIGTERM)

    task = asyncio.create_task(work, name=name)
    task.add_done_callback(ended)
    return task


def main(settings: Settings, place: Place | None) -> int:
    """One worker, until SIGTERM. Without a `place` it is its own group."""
    worker = Worker(settings, tracing_of("tokentally-edge"), place)
    listener = bound(settings.host, settings.port) if place is not None else None
    serve(
        worker.app(), settings.host, settings.port, grace_s=settings.grace_s, listener=listener, leaving=worker.leaving
    )
    return 0
