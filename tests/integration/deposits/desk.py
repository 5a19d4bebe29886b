"""The desk of deposits without its scanner: blocks are taken in by hand, and billing is a ledger that a test can make do anything."""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import psycopg
from nats.aio.client import Client
from nats.aio.msg import Msg
from prometheus_client import CollectorRegistry

from tests.support.chain import Chain
from tt_common.bus.connection import connect
from tt_common.bus.consumer import PullConsumer, StreamPosition
from tt_common.bus.rpc import RpcServer
from tt_common.contracts.deposit_events import DepositBooked, DepositConfirmed
from tt_common.contracts.deposits import ReconciliationReport
from tt_common.contracts.streams import BILLING, DEPOSITS, billing_subject, deposits_subject
from tt_common.contracts.wallets import DEPOSITS_BOOKED, BookedDeposit, BookedDepositPage, ListBookedDeposits
from tt_common.db.engine import make_engine
from tt_common.db.outbox import OutboxRelay
from tt_common.db.positions import read_position
from tt_common.errors import Unavailable
from tt_common.ids import derived_event_id
from tt_deposits.api import rpc
from tt_deposits.clients.assignments import AssignmentStream
from tt_deposits.clients.billing import BillingLedger
from tt_deposits.clients.nodes_reconcile import make_witnesses
from tt_deposits.consumers.booked import DURABLE, SUBJECT, BookedHandler
from tt_deposits.domain.base58 import address_bytes
from tt_deposits.domain.records import Address, BlockRef, Transfer
from tt_deposits.jobs.reconciliation import Reconciler
from tt_deposits.main.service import make_context, make_pool
from tt_deposits.settings import Settings
from tt_deposits.store.outbox import OUTBOX
from tt_deposits.usecases.accept_deposit import accept, notice, orphan
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.metrics import DepositsMetrics
from tt_deposits.usecases.reconcile import reconcile

SENDER = bytes(range(20))
USDT = 1_000_000
WAIT_S = 30.0


class Desk:
    """RPC, relay, and the consumer of billing's answers, on a database whose addresses a test has made. `start`, then `stop`."""

    def __init__(self, settings: Settings, owner_url: str, nc: Client) -> None:
        self.owner_url = owner_url
        self.nc = nc
        self._settings = settings
        self._engine = make_engine(settings.database_url, "desk")
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.metrics = DepositsMetrics(CollectorRegistry())
        self.pool = make_pool(settings, self.metrics)
        self.crash: Callable[[str], None] = lambda point: None
        self.late_ms = 0
        """How far ahead of the wall clock the desk's is."""

    async def start(self) -> None:
        nc = self._own_nc = await connect(self._settings.nats_url or "", "tt-deposits")
        relay = OutboxRelay(self._engine, nc, OUTBOX)
        made = make_context(self._settings, self._engine, self.pool, relay, self.metrics)
        self.context: Context = dataclasses.replace(
            made, crash=lambda point: self.crash(point), now_ms=lambda: made.now_ms() + self.late_ms
        )
        self.witnesses = make_witnesses(self.pool.all(), made.watch.contract)
        self.ledger = BillingLedger(nc)
        self.reconciler = Reconciler(self.context, self._engine, self.witnesses, self.ledger, 3600.0)
        server = self._server = RpcServer(nc, "deposits", "1.0.0")
        self.assignments = AssignmentStream(nc)
        rpc.register(server, self.context, self.assignments, self.witnesses, self.reconciler.ask)
        await server.start()
        self._tasks = [asyncio.create_task(relay.run(self._stopping))]
        await self.listen()

    async def listen(self) -> None:
        """Begin to hear what billing has booked."""

        async def position() -> StreamPosition | None:
            async with self._engine.connect() as connection:
                return await read_position(connection, BILLING.name)

        handler = BookedHandler(self.context, lambda: self.consumer.created, lambda: None)
        self.consumer = PullConsumer(self._own_nc, BILLING.name, DURABLE, SUBJECT, handler.handle, position)
        self.read_again = await self.consumer.prepare()
        self._listening = asyncio.create_task(self.consumer.run())

    async def stop_listening(self) -> None:
        self.consumer.stop()
        await self._listening

    async def stop(self) -> None:
        await self._server.stop()
        await self.stop_listening()
        self._stopping.set()
        await asyncio.gather(*self._tasks)
        await self.pool.close()
        await self._own_nc.close()
        await self._engine.dispose()

    def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """As the owner."""
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)  # pyright: ignore[reportArgumentType, reportCallIssue]
            return cursor.fetchall() if cursor.description else []

    def address(self, index: int, account_id: str | None = None, *, checked_height: int = 0) -> Address:
        """Makes the xpub's address of that index, of an account or of nobody."""
        address = self.context.key.address(index)
        self.sql(
            "INSERT INTO addresses (index, address, account_id, checked_height, made_at_ms, assigned_at_ms)"
            " VALUES (%s, %s, %s, %s, 1, 1)",
            index,
            address,
            account_id,
            checked_height,
        )
        return Address(index=index, address=address, account_id=account_id, blacklisted=False)

    def cursor(self, height: int) -> None:
        """The scanner has read so far."""
        block = block_at(height)
        self.sql(
            "INSERT INTO cursor VALUES ('sandbox', %s, %s, %s, 1) ON CONFLICT (network) DO UPDATE SET height = excluded.height",
            height,
            block.block_id,
            block.time_ms,
        )

    async def take(self, height: int, *arrivals: tuple[Transfer, Address]) -> int:
        """A solid block with these transfers, as the scanner takes it in."""
        async with self.context.database.begin() as unit:
            now_ms = self.context.now_ms()
            new = await accept(unit, self.context.rules, block_at(height), arrivals, now_ms)
            await orphan(unit, self.context.rules, height, now_ms)
        self.context.poke_outbox()
        return new

    async def see(self, height: int, *arrivals: tuple[Transfer, Address], fork: int = 0) -> int:
        """A block that is not solid."""
        async with self.context.database.begin() as unit:
            new = await notice(unit, self.context.rules, block_at(height, fork), arrivals, self.context.now_ms())
        self.context.poke_outbox()
        return new

    async def take_from(self, chain: Chain, addresses: Sequence[Address]) -> None:
        """Everything that the sandbox chain has for and from these addresses, as a faultless scanner finds it; cursor included."""
        by_text = {address.address: address for address in addresses}
        for entry in chain.record():
            if entry["state"] != "solid" or entry["script"].get("outcome", "SUCCESS") != "SUCCESS":
                continue
            for log_index, moved in enumerate(entry["movements"]):
                sender, recipient = address_bytes(moved["from"]), address_bytes(moved["to"])
                txid, amount = bytes.fromhex(entry["txid"]), moved["amount_micro_usdt"]
                if amount == 0:
                    continue
                if recipient in by_text:
                    made = transfer(txid, by_text[recipient], amount, log_index, sender)
                    await self.take(entry["block"], (made, by_text[recipient]))
                if sender in by_text:
                    self._sent(txid, log_index, by_text[sender], recipient, amount, entry["block"])
        self.cursor(chain.head - 18)

    def _sent(self, txid: bytes, log_index: int, address: Address, to: bytes, amount: int, height: int) -> None:
        known = self.sql("SELECT 1 FROM outgoing_transfers WHERE txid = %s AND log_index = %s", txid, log_index)
        if not known:
            self.sql(
                "INSERT INTO outgoing_transfers VALUES (%s, %s, %s, %s, %s, %s, 1)",
                txid,
                log_index,
                address.index,
                to,
                amount,
                height,
            )
            self.sql(
                "UPDATE addresses SET sent_micro_usdt = sent_micro_usdt + %s WHERE index = %s", amount, address.index
            )

    async def reconcile(self, *, whole: bool = False) -> ReconciliationReport:
        return await reconcile(self.context, self.witnesses, self.ledger, whole=whole)

    def states(self) -> dict[str, int]:
        """How many deposits are in each state."""
        return dict(self.sql("SELECT state, count(*) FROM deposits GROUP BY state"))

    async def events(self, name: str) -> list[Msg]:
        """What the stream DEPOSITS has of a type, oldest first."""
        js = self.nc.jetstream()
        found: list[Msg] = []
        for sequence in range(1, (await js.stream_info(DEPOSITS.name)).state.last_seq + 1):
            message: Any = await js.get_msg(DEPOSITS.name, sequence)
            if message.subject.startswith(deposits_subject(name, "")):
                found.append(message)
        return found


class FakeBilling:
    """A ledger that books whatever is asked, unless it is deaf. `ledger` is by (deposit id, entry)."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._js = nc.jetstream()
        self.deaf = False
        self.asked: list[Msg] = []
        self.ledger: dict[tuple[str, str], BookedDeposit] = {}

    async def start(self) -> None:
        subscription = await self._nc.subscribe(deposits_subject("deposit_confirmed", "*"), cb=self._hear)
        self._subscription = subscription
        server = self._server = RpcServer(self._nc, "billing", "1.0.0")
        server.method(DEPOSITS_BOOKED, ListBookedDeposits, self._list)
        await server.start()

    async def stop(self) -> None:
        await self._server.stop()
        await self._subscription.unsubscribe()

    async def answer(self, booked: BookedDeposit, **changes: Any) -> None:
        """Say that an entry is booked; the answer may be made wrong."""
        answer = DepositBooked(
            id=derived_event_id("deposit_booked", booked.deposit_id, booked.entry),
            account_id=booked.account_id,
            deposit_id=booked.deposit_id,
            entry=booked.entry,
            amount_nanousd=booked.amount_nanousd,
            transaction_id=booked.transaction_id,
            available_nanousd=0,
            booked_at_ms=booked.booked_at_ms,
        )
        answer = msgspec.structs.replace(answer, **changes)
        await self._js.publish(billing_subject("deposit_booked", answer.account_id), msgspec.json.encode(answer))

    async def _hear(self, message: Msg) -> None:
        self.asked.append(message)
        if self.deaf:
            return
        event = msgspec.json.decode(message.data, type=DepositConfirmed)
        booked = self.ledger.get((event.deposit_id, event.entry)) or BookedDeposit(
            seq=len(self.ledger) + 1,
            deposit_id=event.deposit_id,
            entry=event.entry,
            account_id=event.account_id,
            amount_nanousd=event.amount_nanousd,
            transaction_id=f"txn-{event.deposit_id}-{event.entry}",
            booked_at_ms=1_900_000_000_000,
        )
        self.ledger[event.deposit_id, event.entry] = booked
        await self.answer(booked)

    async def _list(self, request: ListBookedDeposits) -> BookedDepositPage:
        if self.deaf:
            raise Unavailable("the ledger is away")
        rows = sorted((b for b in self.ledger.values() if b.seq > request.after), key=lambda b: b.seq)
        page = rows[: request.limit]
        return BookedDepositPage(deposits=tuple(page), next_after=page[-1].seq if len(rows) > request.limit else None)


def block_at(height: int, fork: int = 0) -> BlockRef:
    return BlockRef(
        height=height, block_id=height.to_bytes(8, "big") + fork.to_bytes(24, "big"), time_ms=1_700_000_000_000 + height
    )


def transfer(
    txid: int | bytes, address: Address, amount_micro_usdt: int, log_index: int = 0, sender: bytes = SENDER
) -> Transfer:
    return Transfer(
        txid=txid if isinstance(txid, bytes) else txid.to_bytes(32, "big"),
        log_index=log_index,
        sender=sender,
        recipient=address.address,
        amount_micro_usdt=amount_micro_usdt,
    )


async def eventually(check: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
    """The first true answer of `check`, plain or async."""
    deadline_s = asyncio.get_running_loop().time() + timeout_s
    while True:
        result = check()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return result
        assert asyncio.get_running_loop().time() < deadline_s, f"{what}: not within {timeout_s} s (last: {result!r})"
        await asyncio.sleep(0.03)
