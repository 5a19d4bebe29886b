"""What one transaction does to deposits and recharge orders: rows, timeline, events, gathered for the store to write.

Invariant: billing is asked for (deposit, entry) by one event id for ever, and every event id is derived from what happened, so that
a replay says the same again. Amounts are micro-USDT; no clock, no I/O.
"""

from collections.abc import Iterable

import msgspec

from tt_common.contracts.deposit_events import (
    DepositBelowMinimum,
    DepositCredited,
    DepositDetected,
    DepositHeld,
    DepositOrphaned,
    Entry,
    HeldReason,
)
from tt_common.contracts.deposits import DepositState
from tt_common.ids import derived_event_id
from tt_deposits.domain.booking import account_of_entry, confirmed_event, nanousd_of
from tt_deposits.domain.orders import RechargeOrder, choose_order, fill_order, order_changed
from tt_deposits.domain.records import HOUSE, Deposit, Rules, StoredState, chain_transfer


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a deposit's timeline."""

    deposit_id: str
    state: DepositState
    actor: str
    detail: str
    at_ms: int


class Received(msgspec.Struct, kw_only=True):
    """What an address got in this transaction, and the time of the newest block."""

    amount_micro_usdt: int = 0
    block_time_ms: int = 0


class Changes:
    """Collects; the store writes `deposits`, `steps`, `changed_orders`, `received` and `events` at once.

    `orders` are those that the accounts concerned have, locked.
    """

    def __init__(self, rules: Rules, now_ms: int, orders: Iterable[RechargeOrder] = ()) -> None:
        self.rules = rules
        self.now_ms = now_ms
        self.deposits: dict[str, Deposit] = {}
        self.steps: list[Step] = []
        self.changed_orders: dict[str, RechargeOrder] = {}
        self.received: dict[int, Received] = {}
        self.events: list[msgspec.Struct] = []
        self._orders: dict[str, list[RechargeOrder]] = {}
        for order in orders:
            self._orders.setdefault(order.account_id, []).append(order)

    def detect(self, deposit: Deposit, *, first: bool) -> None:
        """Seen in a block that is not solid; told of the first time only."""
        self._move(deposit, "confirming", shown="detected")
        if first:
            deposit.detected_at_ms = self.now_ms
            self.events.append(
                DepositDetected(
                    id=derived_event_id("deposit_detected", deposit.deposit_id),
                    deposit_id=deposit.deposit_id,
                    account_id=deposit.account_id or HOUSE,
                    transfer=chain_transfer(deposit.network, deposit.transfer, deposit.block),
                    detected_at_ms=self.now_ms,
                )
            )

    def orphan(self, deposit: Deposit) -> None:
        """Its block is not in the solid chain."""
        self._move(deposit, "orphaned")
        self.events.append(
            DepositOrphaned(
                id=derived_event_id("deposit_orphaned", deposit.deposit_id, deposit.block.block_id.hex()),
                deposit_id=deposit.deposit_id,
                account_id=deposit.account_id or HOUSE,
                transfer=chain_transfer(deposit.network, deposit.transfer, deposit.block),
                at_ms=self.now_ms,
            )
        )

    def confirm(self, deposit: Deposit) -> None:
        """It is in a solid block: the address has it, for ever. What becomes of it is said next."""
        deposit.confirmed_at_ms = self.now_ms
        received = self.received.setdefault(deposit.address_index, Received())
        received.amount_micro_usdt += deposit.transfer.amount_micro_usdt
        received.block_time_ms = max(received.block_time_ms, deposit.block.time_ms)

    def keep_below_minimum(self, deposit: Deposit, accumulated_micro_usdt: int) -> None:
        """It waits for more."""
        self._move(deposit, "below_minimum")
        self.events.append(
            DepositBelowMinimum(
                id=derived_event_id("deposit_below_minimum", deposit.deposit_id),
                deposit_id=deposit.deposit_id,
                account_id=deposit.account_id or HOUSE,
                transfer=chain_transfer(deposit.network, deposit.transfer, deposit.block),
                accumulated_micro_usdt=accumulated_micro_usdt,
                minimum_micro_usdt=self.rules.minimum_micro_usdt,
                at_ms=self.now_ms,
            )
        )

    def hold(self, deposit: Deposit, reason: HeldReason) -> None:
        """It waits for an operator."""
        deposit.held_reason = reason
        self._move(deposit, "under_review", detail=reason)
        self.events.append(
            DepositHeld(
                id=derived_event_id("deposit_held", deposit.deposit_id),
                deposit_id=deposit.deposit_id,
                account_id=deposit.account_id or HOUSE,
                transfer=chain_transfer(deposit.network, deposit.transfer, deposit.block),
                reason=reason,
                at_ms=self.now_ms,
            )
        )

    def credit(self, deposit: Deposit, entry: Entry = "credit", actor: str = "", reason: str = "") -> None:
        """Billing is asked to put it into the wallet of `deposit.account_id`; it counts for an order of that account."""
        self._move(deposit, "crediting", actor, reason)
        self._ask(deposit, entry, actor, reason)
        self._match_order(deposit)

    def suspend(self, deposit: Deposit, actor: str = "", reason: str = "") -> None:
        """Billing is asked to keep it for the house."""
        self._move(deposit, "suspense", actor, reason)
        self._ask(deposit, "suspend", actor, reason)

    def book(self, deposit: Deposit, transaction_id: str, booked_at_ms: int) -> None:
        """Billing has booked what it was asked; said once, however often it answers."""
        deposit.booked = True
        deposit.transaction_id = transaction_id
        self.deposits[deposit.deposit_id] = deposit
        if deposit.entry == "suspend" or deposit.state == "credited":
            return
        deposit.credited_at_ms = booked_at_ms
        self._move(deposit, "credited")
        self.events.append(
            DepositCredited(
                id=derived_event_id("deposit_credited", deposit.deposit_id),
                deposit_id=deposit.deposit_id,
                account_id=account_of_entry(deposit, deposit.entry or "credit"),
                transfer=chain_transfer(deposit.network, deposit.transfer, deposit.block),
                amount_nanousd=nanousd_of(deposit),
                transaction_id=transaction_id,
                order_id=deposit.order_id,
                credited_at_ms=booked_at_ms,
            )
        )

    def _ask(self, deposit: Deposit, entry: Entry, actor: str, reason: str) -> None:
        deposit.entry = entry
        deposit.booked = False
        deposit.asked_at_ms = self.now_ms
        deposit.asked_times = 1
        deposit.actor = actor
        deposit.reason = reason
        self.events.append(confirmed_event(deposit, entry))

    def _match_order(self, deposit: Deposit) -> None:
        orders = self._orders.get(account_of_entry(deposit, "credit"), [])
        amount, time_ms = deposit.transfer.amount_micro_usdt, deposit.block.time_ms
        order = choose_order(orders, amount, time_ms)
        if order is None:
            return
        fill_order(order, amount, time_ms)
        deposit.order_id = order.order_id
        self.changed_orders[order.order_id] = order
        self.events.append(order_changed(order, deposit.deposit_id, self.now_ms))

    def _move(
        self,
        deposit: Deposit,
        state: StoredState,
        actor: str = "",
        detail: str = "",
        *,
        shown: DepositState | None = None,
    ) -> None:
        deposit.state = state
        self.deposits[deposit.deposit_id] = deposit
        step = Step(deposit_id=deposit.deposit_id, state=shown or state, actor=actor, detail=detail, at_ms=self.now_ms)
        self.steps.append(step)
