"""What turns coins into credit, and nothing else: PostgreSQL, NATS, the sandbox chain by command, billing and deposits."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg
from psycopg.rows import dict_row

from tests.fault.faults.fault import bring_up
from tests.support.chain import SOLID_LAG, Chain
from tests.support.nats_log import refusals
from tt_common.bus.connection import connect
from tt_common.bus.rpc import call
from tt_common.contracts.deposits import (
    ADDRESS_GET,
    RECONCILE,
    RECONCILIATION_GET,
    AddressState,
    GetAddress,
    GetReconciliation,
    ReconciliationReport,
    RunReconciliation,
)
from tt_common.errors import DomainError
from tt_deposits.domain.base58 import address_text
from tt_sandbox.stack.service import Service
from tt_sandbox.stack.stack import Stack

ACCOUNTS: Final = 4
MINIMUM_MICRO_USDT: Final = 1_000_000
REVIEW_ABOVE_MICRO_USDT: Final = 10_000_000_000
SPARES: Final = 3
RPC_TIMEOUT_S: Final = 5.0
TRIES: Final = 100
PAUSE_S: Final = 0.2
SERVICES: Final = ("chain", "billing", "deposits")
ENV: Final = {
    "chain": {"CHAIN_BLOCK_S": "0"},
    "deposits": {
        "DEPOSITS_POLL_S": "0.2",
        "DEPOSITS_NODE_TIMEOUT_S": "1",
        "DEPOSITS_SPARE_ADDRESSES": str(SPARES),
        "DEPOSITS_MINIMUM_MICRO_USDT": str(MINIMUM_MICRO_USDT),
        "DEPOSITS_REVIEW_ABOVE_MICRO_USDT": str(REVIEW_ABOVE_MICRO_USDT),
    },
}


@dataclass(frozen=True)
class Ours:
    """One of our addresses; `account_id` of None: nobody's."""

    address: str
    account_id: str | None


class DepositWorld:
    """Blocking. Accounts have their addresses when `start` returns; the last spare ones stay nobody's."""

    def __init__(self, data_dir: Path) -> None:
        self.stack = Stack(data_dir, env=ENV)
        self.chain = Chain(self.stack.chain_url)
        self.ours: list[Ours] = []

    def service(self, name: str) -> Service:
        return self.stack.service(name)

    def start(self) -> None:
        self.stack.start_engines()
        self.stack.prepare()
        for name in SERVICES:
            self.service(name).launch()
        for name in SERVICES:
            self.service(name).wait_ready()
        # With a cursor first: an address is checked at a solid height.
        self.chain.mine(SOLID_LAG + 1)
        for number in range(ACCOUNTS):
            self.ask(ADDRESS_GET, GetAddress(account_id=f"acc_fault_{number}"), AddressState)
        rows = self.rows(
            "deposits", "SELECT address, account_id FROM addresses WHERE skipped_reason = '' ORDER BY index"
        )
        self.ours = [Ours(address_text(bytes(row["address"])), row["account_id"]) for row in rows]

    def stop(self) -> None:
        self.chain.http.close()
        self.stack.stop()
        assert refusals(self.stack.nats) == []

    def heal(self) -> None:
        """Whatever faults left: engines run, services are up and ready, nodes tell the truth."""
        self.chain.heal()
        self.stack.postgres.start()
        self.stack.nats.start()
        for name in SERVICES:
            self.service(name).resume()
            bring_up(self.service(name))

    def rows(self, owner: str, query: str, *values: object) -> list[dict[str, Any]]:
        with psycopg.connect(self.stack.database_url(owner, "owner"), autocommit=True) as link:
            return link.cursor(row_factory=dict_row).execute(query.encode(), values).fetchall()

    def ask(self, subject: str, request: msgspec.Struct, reply: type[Any]) -> Any:
        """An RPC as the console asks it, again while nobody can answer."""
        return asyncio.run(self._ask(subject, request, reply))

    def reconciliation(self) -> ReconciliationReport:
        """A report of deposits that was begun after this was called."""
        before = self.ask(RECONCILE, RunReconciliation(actor="fault suite"), ReconciliationReport).made_at_ms
        report = self.ask(RECONCILIATION_GET, GetReconciliation(), ReconciliationReport)
        for _ in range(TRIES):
            if report.made_at_ms != before and not report.running:
                break
            report = asyncio.run(self._later(RECONCILIATION_GET, GetReconciliation()))
        assert report.made_at_ms != before, "no report"
        return report

    async def _later(self, subject: str, request: msgspec.Struct) -> ReconciliationReport:
        await asyncio.sleep(PAUSE_S)
        return await self._ask(subject, request, ReconciliationReport)

    async def _ask(self, subject: str, request: msgspec.Struct, reply: type[Any]) -> Any:
        nc = await connect(self.stack.nats.user_url("console"), "fault-suite")
        try:
            for _ in range(TRIES):
                try:
                    return await call(nc, subject, request, reply, RPC_TIMEOUT_S)
                except DomainError as error:
                    if error.code not in ("unavailable", "deposits_unavailable"):
                        raise
                    await asyncio.sleep(PAUSE_S)
            raise AssertionError(f"no answer to {subject}")
        finally:
            await nc.close()
