"""One deposits process on real engines and a filled sandbox chain, with as many addresses in its table as wanted.

The engines are the real ones, PostgreSQL with its defaults; the chain answers by HTTP. The process is pinned to one processor, everything
else to the other. Billing is not there.
"""

import asyncio
import os
import random
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg

from tests.bench.processors import Processors
from tests.support.chain import SOLID_LAG, Chain, chain_process
from tt_common.bus.connection import connect
from tt_common.db.migrations import migrate
from tt_common.deploy import deploy
from tt_deposits.domain.base58 import address_text
from tt_deposits.domain.derivation import AccountKey
from tt_deposits.settings import MIGRATIONS_DIR
from tt_sandbox.stack.deposit_settings import SANDBOX_XPUB, sandbox_deposits
from tt_sandbox.stack.nats_server import EmbeddedNats
from tt_sandbox.stack.ports import HOST, pick_free
from tt_sandbox.stack.postgres import EmbeddedPostgres
from tt_sandbox.stack.service import Service
from tt_sandbox.stack.settings import PROJECT_DIR

OWNER, APP, PASSWORD = "tt_deposits_owner", "tt_deposits_app", "benchmark-only"
TRANSACTIONS: Final = 400
OURS_A_BLOCK: Final = 3
DERIVED: Final = 1_000
"""Addresses of the table that are the xpub's own and get money; the others are random bytes."""
SEED: Final = 7

Transfer = tuple[str, str, int, int]
"""txid in hex, recipient in base58check, micro-USDT, height."""


class ScanBed:
    """The engines and the chain; `blocks` of it are full when `running` begins."""

    def __init__(self, folder: Path, processors: Processors) -> None:
        self.postgres = EmbeddedPostgres(folder / "postgres")
        self.nats = EmbeddedNats(folder / "nats")
        self.first = self.last = 0
        """The heights that are full."""
        self.chain_service: Service
        self.chain: Chain
        self._folder = folder
        self._processors = processors
        key = AccountKey(SANDBOX_XPUB)
        self._derived = [key.address(index) for index in range(DERIVED)]

    @contextmanager
    def running(self, blocks: int) -> Iterator[None]:
        self._folder.mkdir(exist_ok=True)
        try:
            self.postgres.start()
            for role in (OWNER, APP):
                self.postgres.create_role(role, PASSWORD)
            self.nats.start()
            asyncio.run(_deploy(self.nats.url))
            with chain_process(self._folder) as self.chain_service, Chain(self.chain_service.url) as self.chain:
                self._fill_chain(blocks)
                yield
        finally:
            self.nats.stop()
            self.postgres.stop()

    def _fill_chain(self, blocks: int) -> None:
        """Each block has OURS_A_BLOCK transfers to derived addresses among TRANSACTIONS in all; the last one is solid."""
        chance = random.Random(SEED)
        self.first = self.chain.head + 1
        for _ in range(blocks):
            for _ in range(OURS_A_BLOCK):
                amount = chance.randrange(1_000_000, 1_000_000_000)
                self.chain.send(address_text(chance.choice(self._derived)), amount)
            self.last = self.chain.mine(transactions=TRANSACTIONS - OURS_A_BLOCK)
        self.chain.mine(SOLID_LAG)

    def transfers(self) -> list[Transfer]:
        """To our addresses, as the chain tells them, in its order."""
        return sorted(
            (entry["txid"], moved["to"], moved["amount_micro_usdt"], entry["block"])
            for entry in self.chain.record()
            for moved in entry["movements"]
        )

    @contextmanager
    def scanner(self, addresses: int) -> Iterator["Scanner"]:
        """A fresh database with that many addresses, and a process that has not been started."""
        database = f"tt_deposits_{addresses}"
        self.postgres.create_database(database, OWNER, may_connect=(APP,))
        owner_url, app_url = (self.postgres.url(database, role, PASSWORD) for role in (OWNER, APP))
        migrate(MIGRATIONS_DIR, owner_url, app_url)
        with psycopg.connect(owner_url, autocommit=True) as connection:
            self._fill_addresses(connection, addresses)
            scanner = Scanner(self._service(app_url, addresses), connection, self._processors)
            try:
                yield scanner
            finally:
                scanner.service.stop()
        self.postgres.drop_database(database)

    def _fill_addresses(self, connection: psycopg.Connection[Any], count: int) -> None:
        chance = random.Random(SEED)
        columns = "index, address, account_id, checked_height, made_at_ms, assigned_at_ms"
        with closing(connection.cursor()) as cursor, cursor.copy(f"COPY addresses ({columns}) FROM STDIN") as copy:
            for index in range(count):
                address = self._derived[index] if index < DERIVED else chance.randbytes(20)
                copy.write_row((index, address, f"acct_bench_{index}", self.first - 1, 0, 0))
        connection.execute("VACUUM ANALYZE addresses")

    def _service(self, app_url: str, addresses: int) -> Service:
        port = pick_free()
        env = {name: value for name, value in os.environ.items() if not name.startswith("DEPOSITS_")}
        env |= sandbox_deposits(self.chain_service.url)
        env |= {
            "DEPOSITS_DATABASE_URL": app_url,
            "DEPOSITS_NATS_URL": self.nats.url,
            "DEPOSITS_HOST": HOST,
            "DEPOSITS_PORT": str(port),
            "DEPOSITS_START_HEIGHT": str(self.first),
        }
        return Service(
            "deposits",
            [sys.executable, "-m", "tt_deposits", "serve"],
            port,
            env=env,
            log_path=self._folder / f"deposits-{addresses}.log",
            cwd=PROJECT_DIR,
            pid_path=self._folder / "deposits.pid",
        )


class Scanner:
    """One deposits process and its database, looked at as the owner."""

    def __init__(self, service: Service, connection: psycopg.Connection[Any], processors: Processors) -> None:
        self.service = service
        self._connection = connection
        self._processors = processors

    def launch(self) -> int:
        """Starts it on the processor for what is measured, without waiting; the process id."""
        self.service.launch()
        pid = self.service.process.pid
        if pid is None:
            raise RuntimeError(f"deposits is gone (log: {self.service.process.log_path})")
        self._processors.give(pid)
        return pid

    def height(self) -> int:
        """The cursor's; 0 before there is one."""
        row = self._connection.execute("SELECT max(height) FROM cursor").fetchone()
        return 0 if row is None or row[0] is None else int(row[0])

    def block_ids(self) -> dict[int, str]:
        """What is remembered of the chain, by height."""
        rows = self._connection.execute("SELECT height, block_id FROM blocks")
        return {height: bytes(block_id).hex() for height, block_id in rows}

    def transfers(self) -> list[Transfer]:
        """The records, each that is due to be credited."""
        rows = self._connection.execute(
            "SELECT d.txid, a.address, d.amount_micro_usdt, d.block_height FROM deposits d"
            " JOIN addresses a ON a.index = d.address_index WHERE d.state = 'crediting' AND d.log_index = 0"
        )
        return sorted(
            (bytes(txid).hex(), address_text(bytes(address)), int(amount), int(height))
            for txid, address, amount, height in rows
        )

    def count(self, table: str) -> int:
        """All rows of deposits, halt, unsupported_transfers or outgoing_transfers."""
        row = self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # pyright: ignore[reportCallIssue, reportArgumentType]
        return int(row[0]) if row else 0


async def _deploy(url: str) -> None:
    nc = await connect(url, "bench")
    await deploy(nc.jetstream())
    await nc.close()
