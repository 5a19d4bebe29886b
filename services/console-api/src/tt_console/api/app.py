"""The ASGI application: routes and error shapes. Connections and background work are the lifespan's, made in main."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from fastapi import FastAPI

from tt_common.web.health import Check, health_router
from tt_common.web.metrics import metrics_router, new_registry
from tt_console.api import (
    auth,
    balance,
    deposit_events,
    deposit_records,
    deposits,
    keys,
    models,
    operator_accounts,
    operator_catalog,
    operator_deposits,
    operator_scanner,
    usage,
    webhook_deliveries,
    webhooks,
)
from tt_console.api.errors import install_error_shapes
from tt_console.api.plumbing import RequestScope
from tt_console.usecases.metrics import ConsoleMetrics

PREFIX: Final = "/api/v1"
ROUTERS: Final = (
    auth.router,
    keys.router,
    balance.router,
    models.router,
    usage.router,
    operator_accounts.router,
    operator_catalog.router,
    deposits.router,
    deposit_records.router,
    deposit_events.router,
    operator_deposits.router,
    operator_scanner.router,
    # Before the webhooks, whose ids stand where `deliveries` does.
    webhook_deliveries.router,
    webhooks.router,
)


def create_app(lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]) -> FastAPI:
    """The application; `lifespan` sets `app.state.context` and fills `app.state.checks` before the first request."""
    # No /docs page: its scripts come from another host, and would run with the session of whoever looks at it.
    app = FastAPI(title="TokenTally console API", version="1", lifespan=lifespan, docs_url=None, redoc_url=None)
    install_error_shapes(app)
    for router in ROUTERS:
        app.include_router(router, prefix=PREFIX)
    checks: dict[str, Check] = {}
    app.state.checks = checks
    app.include_router(health_router(checks))
    metrics = ConsoleMetrics(new_registry())
    app.state.metrics = metrics
    app.include_router(metrics_router(metrics.registry))
    app.add_middleware(RequestScope, metrics=metrics)
    return app
