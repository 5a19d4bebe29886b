"""What changes among an account's deposits and orders while somebody looks on.

Events are only hints: what is told is always what the deposits service says now, so a lost, late or repeated event does no harm.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from tt_common.contracts.deposits import DepositRecord, ListOrders, ListRecords, Order, OrderPage, RecordPage
from tt_common.errors import DomainError
from tt_console.domain.deposits import OPEN_STATES

SHOWN: Final = 20
"""How many of the newest deposits and orders are looked at."""

Change = DepositRecord | Order


class Source(Protocol):
    """The deposits service. Raises DomainError, Unavailable where nobody answers."""

    async def record(self, account_id: str | None, deposit_id: str) -> DepositRecord: ...
    async def records(self, request: ListRecords) -> RecordPage: ...
    async def order(self, account_id: str, order_id: str) -> Order: ...
    async def orders(self, request: ListOrders) -> OrderPage: ...


class Follower:
    """Remembers what was told of one account; every method that raises has forgotten nothing."""

    def __init__(self, source: Source, account_id: str) -> None:
        self._source = source
        self._account_id = account_id
        self._deposits: dict[str, DepositRecord] = {}
        self._orders: dict[str, Order] = {}

    @property
    def something_is_open(self) -> bool:
        """Whether a deposit is on its way and will change by itself."""
        return any(record.state in OPEN_STATES for record in self._deposits.values())

    async def look(self) -> list[Change]:
        """What is new or different among the newest deposits and orders, and among those on their way; oldest first."""
        page = await self._source.records(ListRecords(account_id=self._account_id, limit=SHOWN))
        records = [*page.records]
        listed = {record.deposit_id for record in records}
        for known in [*self._deposits.values()]:
            if known.deposit_id not in listed and known.state in OPEN_STATES:
                records.append(await self._source.record(self._account_id, known.deposit_id))
        orders = (await self._source.orders(ListOrders(account_id=self._account_id, limit=SHOWN))).orders
        changes = self._changes(records, orders)
        self._deposits = {record.deposit_id: record for record in records}
        self._orders = {order.order_id: order for order in orders}
        return changes

    async def look_at(self, deposit_ids: Iterable[str], order_ids: Iterable[str]) -> list[Change]:
        """What is new or different among these; an id that is not the account's is passed over."""
        records: list[DepositRecord] = []
        orders: list[Order] = []
        for deposit_id in deposit_ids:
            try:
                records.append(await self._source.record(self._account_id, deposit_id))
            except DomainError as error:
                if error.code != "deposit_not_found":
                    raise
        for order_id in order_ids:
            try:
                orders.append(await self._source.order(self._account_id, order_id))
            except DomainError as error:
                if error.code != "order_not_found":
                    raise
        changes = self._changes(records[::-1], orders[::-1])
        self._deposits |= {record.deposit_id: record for record in records}
        self._orders |= {order.order_id: order for order in orders}
        return changes

    def _changes(self, records: Sequence[DepositRecord], orders: Sequence[Order]) -> list[Change]:
        changed: list[Change] = [order for order in reversed(orders) if self._orders.get(order.order_id) != order]
        return changed + [r for r in reversed(records) if self._deposits.get(r.deposit_id) != r]
