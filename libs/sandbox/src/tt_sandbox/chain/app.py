"""The sandbox chain's HTTP application: nodes, the tests' own door, health. The caller owns the store."""

from fastapi import FastAPI

from tt_common.clock import now_ms
from tt_common.web.health import health_router
from tt_sandbox.chain.addresses import parse
from tt_sandbox.chain.control import control
from tt_sandbox.chain.faults import FaultBoard
from tt_sandbox.chain.ledger import Ledger
from tt_sandbox.chain.node import Nodes
from tt_sandbox.chain.settings import ChainSettings
from tt_sandbox.chain.store import Store
from tt_sandbox.chain.timeline import Timeline


def build_app(settings: ChainSettings, store: Store) -> FastAPI:
    """Ready to be served; what the store holds is loaded before this returns."""
    timeline = Timeline(store, round(settings.block_s * 1000), settings.start_height, now_ms())
    ledger = Ledger(store, timeline, usdt_contract=parse(settings.usdt_contract), solid_lag=settings.solid_lag)
    board = FaultBoard()
    app = FastAPI(title="Sandbox chain", docs_url=None, redoc_url=None)
    app.include_router(health_router({}))
    app.include_router(control(ledger, board, settings.nodes))
    app.mount("/nodes", Nodes(ledger, board, settings.nodes))
    return app
