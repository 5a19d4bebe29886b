"""A scanner that a test drives step by step, on a real database and the sandbox chain."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from prometheus_client import CollectorRegistry
from psycopg.rows import dict_row

from tests.support.chain import SOLID_LAG, Chain
from tt_common.clock import monotonic_s
from tt_common.db.engine import make_engine
from tt_deposits.clients.node_pool import NodePool
from tt_deposits.domain.base58 import address_text
from tt_deposits.domain.records import GivenAddress
from tt_deposits.main.service import make_context, make_pool
from tt_deposits.settings import Settings
from tt_deposits.usecases.assign_address import give_address
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.fill_addresses import fill_addresses
from tt_deposits.usecases.metrics import DepositsMetrics
from tt_deposits.usecases.rescan import rescan_step
from tt_deposits.usecases.scan_blocks import ScanBlocks
from tt_deposits.usecases.scan_head import ScanHead

CATCH_UP_S = 60.0
PAUSE_S = 0.05


class Watcher:
    """One process's scanner. `owner_url` is for looking at its rows."""

    def __init__(self, context: Context, pool: NodePool, chain: Chain, owner_url: str) -> None:
        self.context = context
        self.pool = pool
        self.chain = chain
        self.owner_url = owner_url
        self.scan = ScanBlocks(context)
        self.head = ScanHead(context)

    async def begin(self) -> None:
        """The cursor is put, spare addresses are made."""
        while not self.rows("SELECT * FROM cursor"):
            await self.scan.step()
        await fill_addresses(self.context)

    async def address(self, account_id: str) -> str:
        """The account's, base58check."""
        async with self.context.database.begin() as unit:
            given = await give_address(self.context, unit, account_id)
        assert given is not None, "no address is ready"
        return address_text(given.address)

    async def given(self, account_id: str) -> GivenAddress:
        """What is known of the address that the account has."""
        async with self.context.database.begin() as unit:
            given = await unit.given_address(account_id)
        assert given is not None
        return given

    async def catch_up(self) -> None:
        """Until the cursor is where the solid chain is, and re-scans are done."""
        solid = self.chain.head - SOLID_LAG
        deadline_s = monotonic_s() + CATCH_UP_S
        while monotonic_s() < deadline_s:
            if self.height() == solid and not self.rows("SELECT * FROM rescans WHERE next_height <= to_height"):
                return
            if not await self.scan.step():
                await asyncio.sleep(PAUSE_S)
            await rescan_step(self.context)
        raise AssertionError(f"the cursor stays at {self.height()}, the chain is solid up to {solid}: {self.halt()}")

    async def steps(self, count: int = 4) -> None:
        """That many looks, whatever they bring."""
        for _ in range(count):
            await self.scan.step()
            await rescan_step(self.context)
            await asyncio.sleep(PAUSE_S)

    def calm(self, timeout_s: float = 20.0) -> None:
        """As if the time had passed for which nodes that failed are left alone. The preferred one may take `timeout_s`."""
        for node in self.pool.all():
            node._timeout_s, node._quiet_until_s, node._failures = 20.0, 0.0, 0
        self.pool.all()[0]._timeout_s = timeout_s

    def height(self) -> int:
        return self.rows("SELECT height FROM cursor")[0]["height"]

    def halt(self) -> dict[str, Any] | None:
        return next(iter(self.rows("SELECT * FROM halt")), None)

    def deposits(self) -> list[tuple[Any, ...]]:
        """(account, micro-USDT, state) of each, by block and log."""
        rows = self.rows("SELECT * FROM deposits ORDER BY block_height, txid, log_index")
        return [(row["account_id"], int(row["amount_micro_usdt"]), row["state"]) for row in rows]

    def rows(self, statement: str) -> list[dict[str, Any]]:
        """As the owner."""
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            cursor = connection.cursor(row_factory=dict_row).execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]
            return cursor.fetchall() if cursor.description else []

    def said(self) -> list[str]:
        """The subjects of what is told of deposits, oldest first."""
        rows = self.rows("SELECT subject FROM outbox WHERE subject LIKE 'deposits.%' ORDER BY id")
        return [row["subject"] for row in rows]

    def gone_through(self) -> list[int]:
        """Heights that are remembered."""
        return [row["height"] for row in self.rows("SELECT height FROM blocks ORDER BY height")]

    def metric(self, name: str, **labels: str) -> float:
        return self.context.metrics.registry.get_sample_value(f"tokentally_deposits_{name}", labels) or 0.0


@asynccontextmanager
async def watcher_on(settings: Settings, chain: Chain, owner_url: str) -> AsyncIterator[Watcher]:
    """Closed at the end, as a process that stops."""
    metrics = DepositsMetrics(CollectorRegistry())
    engine = make_engine(settings.database_url, "deposits-tests", pool_size=4)
    pool = make_pool(settings, metrics)
    watcher = Watcher(make_context(settings, engine, pool, None, metrics), pool, chain, owner_url)
    try:
        yield watcher
    finally:
        await watcher.scan.stop()
        await pool.close()
        await engine.dispose()
