"""The deposits service as the console sees it: the same RPC subjects and events on real NATS, everything in memory.

For tests of the console alone; the end-to-end tests run the real one.
"""

import itertools
from typing import TypeVar

import msgspec
from nats.aio.client import Client
from nats.js.client import JetStreamContext

from tt_common.bus.events import event_headers
from tt_common.bus.rpc import RpcServer
from tt_common.clock import now_ms
from tt_common.contracts import deposit_events, deposits
from tt_common.contracts.deposit_events import ChainTransfer
from tt_common.contracts.streams import deposits_subject
from tt_common.errors import DomainError
from tt_common.ids import new_event_id, new_id

CONTRACT = "TXYZopYRdj2D9XRtbG411XZZ3kM5VkAeBf"
SCANNER = deposits.ScannerState(
    network="nile",
    cursor_height=1_000,
    cursor_time_ms=1_750_000_000_000,
    solid_height=1_001,
    head_height=1_020,
    head_time_ms=1_750_000_060_000,
    blocks_behind=1,
    blocks_per_s=0.5,
    eta_s=2.4,
    delayed=False,
    halted_reason="",
    halted_height=None,
    halted_details={},
    nodes=(deposits.NodeState(name="one", head_height=1_020, solid_height=1_001, error="", asked_at_ms=1),),
    rescans=(),
    addresses_assigned=3,
    addresses_spare=20,
    xpub_fingerprint="deadbeef",
    unsupported_trx=0,
    unsupported_tokens=0,
)
REPORT = deposits.ReconciliationReport(
    made_at_ms=1_750_000_000_000,
    running=False,
    clean=False,
    from_height=1,
    to_height=1_000,
    addresses=3,
    checks=("logs", "balances"),
    sums=(deposits.StateSum(state="credited", deposits=2, amount_micro_usdt=25_500_000),),
    differences=(deposits.DepositDifference(check="logs", what="T1", expected="1.00", found="2.00"),),
)
NEXT_STATE: dict[str, tuple[deposits.DepositState, deposits.DepositState]] = {
    "release": ("under_review", "crediting"),
    "refuse": ("under_review", "suspense"),
    "assign": ("suspense", "crediting"),
}
_numbers = itertools.count(1)

T = TypeVar("T")


class FakeDeposits:
    """Answers the RPC of contracts/deposits.py from what tests put here; `publish` is its event stream."""

    def __init__(self, nc: Client, js: JetStreamContext) -> None:
        self._nc = nc
        self._js = js
        self.server = RpcServer(nc, "deposits", "0.0.1")
        self.addresses: dict[str, deposits.AddressState] = {}
        self.orders: dict[str, deposits.Order] = {}
        self.records: dict[str, deposits.DepositRecord] = {}
        self.decisions: list[deposits.Decide] = []
        self.rescans: dict[str, deposits.Rescan] = {}
        self.sweep_rows: list[deposits.SweepRow] = []
        self.scanner = SCANNER
        self.reconciliations = 0

    async def start(self) -> None:
        method = self.server.method
        method(deposits.ADDRESS_GET, deposits.GetAddress, self._address)
        method(deposits.ORDER_CREATE, deposits.CreateOrder, self._create_order)
        method(deposits.ORDER_GET, deposits.GetOrder, self._order)
        method(deposits.ORDER_LIST, deposits.ListOrders, self._orders)
        method(deposits.ORDER_CANCEL, deposits.GetOrder, self._cancel)
        method(deposits.RECORD_GET, deposits.GetRecord, self._record)
        method(deposits.RECORD_LIST, deposits.ListRecords, self._records)
        method(deposits.RECORD_DECIDE, deposits.Decide, self._decide)
        method(deposits.SCANNER_GET, deposits.GetScanner, self._scanner)
        method(deposits.SCANNER_RESUME, deposits.ResumeScanner, self._resume)
        method(deposits.SCANNER_RESCAN, deposits.StartRescan, self._rescan)
        method(deposits.SWEEP_EXPORT, deposits.ExportSweep, self._sweep)
        method(deposits.RECONCILE, deposits.RunReconciliation, self._reconcile)
        method(deposits.RECONCILIATION_GET, deposits.GetReconciliation, self._report)
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    async def publish(self, name: str, account_id: str, data: msgspec.Struct, message_id: str | None = None) -> None:
        """`name` is the short one, such as `deposit_credited`; `data` has an `id`. With a `message_id` the broker takes it once more."""
        event_id: str = getattr(data, "id")  # noqa: B009 -- every event has one, the base class doesn't say so
        source = deposit_events.DEPOSITS_SOURCE
        headers = event_headers(event_id, f"deposits.{name}.v1", source, account_id, now_ms())
        headers["Nats-Msg-Id"] = message_id or event_id
        await self._js.publish(deposits_subject(name, account_id), msgspec.json.encode(data), headers=headers)

    def add(
        self,
        account_id: str | None,
        state: deposits.DepositState = "credited",
        amount_micro_usdt: int = 25_500_000,
        confirmations: int = 19,
        **fields: object,
    ) -> deposits.DepositRecord:
        """A transfer to the account's address."""
        number = next(_numbers)
        record = deposits.DepositRecord(
            deposit_id=new_id("dep"),
            account_id=account_id,
            state=state,
            transfer=ChainTransfer(
                network="nile",
                txid=f"{number:064x}",
                log_index=0,
                from_address="TSender",
                to_address=f"T{number}",
                amount_micro_usdt=amount_micro_usdt,
                block_height=1_000 + number,
                block_time_ms=1_750_000_000_000,
            ),
            confirmations=confirmations,
            held_reason="",
            order_id=None,
            order_status=None,
            timeline=(
                deposits.StateChange(state=state, at_ms=1_750_000_000_000, actor="boss@example.com", detail="ok"),
            ),
            confirmed_at_ms=None,
            credited_at_ms=None,
            transaction_id=None,
        )
        return self.put(msgspec.structs.replace(record, **fields))

    def put(self, record: deposits.DepositRecord) -> deposits.DepositRecord:
        self.records[record.deposit_id] = record
        return record

    def detected(self, record: deposits.DepositRecord) -> deposit_events.DepositDetected:
        """The event that tells of this record."""
        return deposit_events.DepositDetected(
            id=new_event_id(),
            deposit_id=record.deposit_id,
            account_id=record.account_id or "house",
            transfer=record.transfer,
            detected_at_ms=now_ms(),
        )

    def credited(self, record: deposits.DepositRecord) -> deposit_events.DepositCredited:
        return deposit_events.DepositCredited(
            id=new_event_id(),
            deposit_id=record.deposit_id,
            account_id=record.account_id or "house",
            transfer=record.transfer,
            amount_nanousd=record.transfer.amount_micro_usdt * 1_000,
            transaction_id="tx_1",
            order_id=record.order_id,
            credited_at_ms=now_ms(),
        )

    async def _address(self, request: deposits.GetAddress) -> deposits.AddressState:
        state = deposits.AddressState(
            account_id=request.account_id,
            address=f"T{request.account_id[-33:]}",
            network="nile",
            contract=CONTRACT,
            minimum_micro_usdt=1_000_000,
            activated=False,
            usable=True,
            assigned_at_ms=1_750_000_000_000,
        )
        return self.addresses.setdefault(request.account_id, state)

    async def _create_order(self, request: deposits.CreateOrder) -> deposits.Order:
        known = self.orders.get(request.order_id)
        if known is not None:
            if (known.amount_micro_usdt, known.note) != (request.amount_micro_usdt, request.note):
                raise DomainError("idempotency_conflict", "another order under this id")
            return known
        state = await self._address(deposits.GetAddress(account_id=request.account_id))
        order = deposits.Order(
            order_id=request.order_id,
            account_id=request.account_id,
            status="waiting",
            amount_micro_usdt=request.amount_micro_usdt,
            received_micro_usdt=0,
            note=request.note,
            address=state.address,
            created_at_ms=now_ms(),
            expires_at_ms=now_ms() + 3_600_000,
            deposit_ids=(),
        )
        self.orders[order.order_id] = order
        return order

    async def _order(self, request: deposits.GetOrder) -> deposits.Order:
        order = self.orders.get(request.order_id)
        if order is None or order.account_id != request.account_id:
            raise DomainError("order_not_found", "there is no such order")
        return order

    async def _orders(self, request: deposits.ListOrders) -> deposits.OrderPage:
        mine = [order for order in self.orders.values() if order.account_id == request.account_id]
        mine.sort(key=lambda order: (order.created_at_ms, order.order_id), reverse=True)
        page, following = _page(mine, [order.order_id for order in mine], request.before, request.limit)
        return deposits.OrderPage(orders=tuple(page), next_before=following)

    async def _cancel(self, request: deposits.GetOrder) -> deposits.Order:
        order = msgspec.structs.replace(await self._order(request), status="cancelled")
        self.orders[order.order_id] = order
        return order

    async def _record(self, request: deposits.GetRecord) -> deposits.DepositRecord:
        record = self.records.get(request.deposit_id)
        if record is None or request.account_id not in (None, record.account_id):
            raise DomainError("deposit_not_found", "there is no such deposit")
        return record

    async def _records(self, request: deposits.ListRecords) -> deposits.RecordPage:
        found = [
            record
            for record in reversed(self.records.values())
            if request.account_id in (None, record.account_id)
            and (request.states is None or record.state in request.states)
            and request.order_id in (None, record.order_id)
        ]
        page, following = _page(found, [record.deposit_id for record in found], request.before, request.limit)
        return deposits.RecordPage(records=tuple(page), next_before=following)

    async def _decide(self, request: deposits.Decide) -> deposits.DepositRecord:
        record = await self._record(deposits.GetRecord(deposit_id=request.deposit_id, account_id=None))
        needed, following = NEXT_STATE[request.decision]
        if record.state != needed:
            raise DomainError("invalid_state", f"the deposit is not {needed}")
        self.decisions.append(request)
        account_id = request.account_id or record.account_id
        return self.put(msgspec.structs.replace(record, state=following, account_id=account_id))

    async def _scanner(self, _: deposits.GetScanner) -> deposits.ScannerState:
        return msgspec.structs.replace(self.scanner, rescans=tuple(self.rescans.values())[-20:])

    async def _resume(self, _: deposits.ResumeScanner) -> deposits.ScannerState:
        self.scanner = msgspec.structs.replace(self.scanner, halted_reason="", halted_height=None)
        return self.scanner

    async def _rescan(self, request: deposits.StartRescan) -> deposits.Rescan:
        rescan = deposits.Rescan(
            rescan_id=request.rescan_id,
            from_height=request.from_height,
            to_height=request.to_height,
            next_height=request.from_height,
            found=0,
            state="running",
            actor=request.actor,
            reason=request.reason,
            created_at_ms=now_ms(),
        )
        return self.rescans.setdefault(request.rescan_id, rescan)

    async def _sweep(self, request: deposits.ExportSweep) -> deposits.SweepPage:
        later = [row for row in self.sweep_rows if row.index > request.after]
        page = later[: request.limit]
        return deposits.SweepPage(
            network="nile",
            xpub_fingerprint="deadbeef",
            solid_height=1_001,
            energy_fee_sun=210,
            rows=tuple(page),
            next_after=page[-1].index if len(later) > len(page) else None,
        )

    async def _reconcile(self, _: deposits.RunReconciliation) -> deposits.ReconciliationReport:
        self.reconciliations += 1
        return msgspec.structs.replace(REPORT, running=True)

    async def _report(self, _: deposits.GetReconciliation) -> deposits.ReconciliationReport:
        return REPORT


def _page(items: list[T], names: list[str], before: str | None, limit: int) -> tuple[list[T], str | None]:
    """At most `limit` after the one named `before`, and the name of the last one where there are more."""
    start = names.index(before) + 1 if before in names else 0
    page = items[start : start + limit]
    more = len(items) > start + len(page)
    return page, names[start + len(page) - 1] if more and page else None
