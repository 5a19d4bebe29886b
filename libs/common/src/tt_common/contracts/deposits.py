"""RPC console-api -> deposits: addresses, recharge orders, records, and what operators do.

USDT is integer micro-USDT, times are Unix milliseconds. Requests that change something are safe to repeat. Error codes:
deposit_not_found, order_not_found, invalid_state (the deposit is not where the request needs it), invalid_request,
idempotency_conflict, deposits_unavailable (no address can be given out now; Retry-After), unavailable.
"""

from typing import Any, Final, Literal

import msgspec

from tt_common.contracts.deposit_events import ChainTransfer, OrderStatus

ADDRESS_GET: Final = "deposits.rpc.v1.addresses.get"
ORDER_CREATE: Final = "deposits.rpc.v1.orders.create"
ORDER_GET: Final = "deposits.rpc.v1.orders.get"
ORDER_LIST: Final = "deposits.rpc.v1.orders.list"
ORDER_CANCEL: Final = "deposits.rpc.v1.orders.cancel"
RECORD_GET: Final = "deposits.rpc.v1.records.get"
RECORD_LIST: Final = "deposits.rpc.v1.records.list"
RECORD_DECIDE: Final = "deposits.rpc.v1.records.decide"
SCANNER_GET: Final = "deposits.rpc.v1.scanner.get"
SCANNER_RESUME: Final = "deposits.rpc.v1.scanner.resume"
SCANNER_RESCAN: Final = "deposits.rpc.v1.scanner.rescan"
SWEEP_EXPORT: Final = "deposits.rpc.v1.sweep.export"
RECONCILE: Final = "deposits.rpc.v1.reconciliation.run"
RECONCILIATION_GET: Final = "deposits.rpc.v1.reconciliation.get"

CONFIRMATIONS_REQUIRED: Final = 19
"""Of 27 super representatives: a block with 19 of them at or above it is solid."""

DepositState = Literal[
    "detected", "confirming", "crediting", "credited", "below_minimum", "under_review", "suspense", "orphaned"
]
"""detected: in the newest block. confirming: n of 19. crediting: solid, billing books it. suspense: solid, nobody's yet.
The state of what is not solid is for display alone."""


class GetAddress(msgspec.Struct, frozen=True, kw_only=True):
    """The account's address; the first request assigns one for ever. Error: deposits_unavailable."""

    account_id: str


class AddressState(msgspec.Struct, frozen=True, kw_only=True):
    """Where the account's deposits go, and the rules to tell a customer."""

    account_id: str
    address: str
    """base58check."""
    network: str
    contract: str
    """The USDT contract's address, base58check."""
    minimum_micro_usdt: int
    """Less is kept until the address has got this much."""
    activated: bool
    """Some wallets and exchanges refuse to send to an address that is not."""
    usable: bool
    """False where the contract's owner has blacklisted it: nothing must be sent to it."""
    assigned_at_ms: int


class CreateOrder(msgspec.Struct, frozen=True, kw_only=True):
    """`order_id` is caller-made and the idempotency key. An order is a label: what arrives is credited with or without one."""

    order_id: str
    account_id: str
    amount_micro_usdt: int | None = None
    note: str = ""


class GetOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Also what cancels one: a cancelled order takes no money any more; cancelling one that has ended changes nothing."""

    order_id: str
    account_id: str


class ListOrders(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; `before` is the `next_before` of the page before."""

    account_id: str
    limit: int = 50
    before: str | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    order_id: str
    account_id: str
    status: OrderStatus
    amount_micro_usdt: int | None
    received_micro_usdt: int
    note: str
    address: str
    created_at_ms: int
    expires_at_ms: int
    deposit_ids: tuple[str, ...]


class OrderPage(msgspec.Struct, frozen=True, kw_only=True):
    orders: tuple[Order, ...]
    next_before: str | None


class StateChange(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a deposit's timeline; `actor` and `detail` where an operator decided."""

    state: DepositState
    at_ms: int
    actor: str = ""
    detail: str = ""


class DepositRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One transfer to one of our addresses, with its story."""

    deposit_id: str
    account_id: str | None
    """None where the address is nobody's."""
    state: DepositState
    transfer: ChainTransfer
    confirmations: int
    """Of CONFIRMATIONS_REQUIRED; held at one less until the block is solid."""
    held_reason: str
    order_id: str | None
    order_status: OrderStatus | None
    timeline: tuple[StateChange, ...]
    confirmed_at_ms: int | None
    credited_at_ms: int | None
    transaction_id: str | None
    """Of the ledger."""


class GetRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Within the account; `account_id` of None is an operator's. Error: deposit_not_found."""

    deposit_id: str
    account_id: str | None


class ListRecords(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; None: of every account, state, order. `before` is the `next_before` of the page before."""

    account_id: str | None
    states: tuple[DepositState, ...] | None = None
    order_id: str | None = None
    limit: int = 50
    before: str | None = None


class RecordPage(msgspec.Struct, frozen=True, kw_only=True):
    records: tuple[DepositRecord, ...]
    next_before: str | None


class Decide(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's decision. release: from under_review to the wallet. refuse: from under_review to suspense.
    assign: from suspense to `account_id`'s wallet. The same decision again is answered as done. Error: invalid_state."""

    deposit_id: str
    decision: Literal["release", "refuse", "assign"]
    actor: str
    reason: str
    account_id: str | None = None


class GetScanner(msgspec.Struct, frozen=True, kw_only=True):
    """How far the chain is read, with the newest `rescans_max` re-scans."""

    rescans_max: int = 20


class NodeState(msgspec.Struct, frozen=True, kw_only=True):
    """One TRON node as it was last seen. `error` is empty while it answers; `name` never holds a key."""

    name: str
    head_height: int | None
    solid_height: int | None
    error: str
    asked_at_ms: int | None


class Rescan(msgspec.Struct, frozen=True, kw_only=True):
    """A range that is or was scanned again; `found` counts transfers that were not known."""

    rescan_id: str
    from_height: int
    to_height: int
    next_height: int
    found: int
    state: Literal["running", "done"]
    actor: str
    reason: str
    created_at_ms: int


class ScannerState(msgspec.Struct, frozen=True, kw_only=True):
    """How far the chain is read. `delayed` is what a customer should be told; `eta_s` is how long catching up will take."""

    network: str
    cursor_height: int | None
    cursor_time_ms: int | None
    solid_height: int | None
    head_height: int | None
    head_time_ms: int | None
    blocks_behind: int
    blocks_per_s: float
    eta_s: float | None
    delayed: bool
    halted_reason: str
    halted_height: int | None
    halted_details: dict[str, Any]
    nodes: tuple[NodeState, ...]
    rescans: tuple[Rescan, ...]
    addresses_assigned: int
    addresses_spare: int
    xpub_fingerprint: str
    unsupported_trx: int
    """Transfers of TRX to our addresses."""
    unsupported_tokens: int
    """Transfers of other tokens to our addresses."""


class ResumeScanner(msgspec.Struct, frozen=True, kw_only=True):
    """After a halt whose cause is gone: scan on. A new USDT contract is a matter of settings."""

    actor: str
    reason: str


class StartRescan(msgspec.Struct, frozen=True, kw_only=True):
    """Heights, both included. `rescan_id` is caller-made."""

    rescan_id: str
    from_height: int
    to_height: int
    actor: str
    reason: str


class ExportSweep(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses that have got USDT, by index; `after` is the `next_after` of the page before. `balances`: ask the chain, too."""

    after: int = -1
    limit: int = 200
    balances: bool = True


class SweepRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a treasury needs to sweep one address. Balances are None where they were not asked for."""

    index: int
    path: str
    address: str
    address_hex: str
    account_id: str | None
    received_micro_usdt: int
    sent_micro_usdt: int
    unswept_micro_usdt: int
    """By our records: received less sent."""
    balance_micro_usdt: int | None
    """By the chain, at `solid_height`."""
    trx_balance_sun: int | None
    activated: bool | None
    blacklisted: bool
    last_deposit_at_ms: int | None


class SweepPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of addresses, and what holds for all of them."""

    network: str
    xpub_fingerprint: str
    solid_height: int | None
    energy_fee_sun: int | None
    """The network's price of energy now: what a sweep costs."""
    rows: tuple[SweepRow, ...]
    next_after: int | None


class RunReconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """Start one now (it runs in the background); answers with the last report there is."""

    actor: str


class GetReconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """The last report, with `differences_max` of its differences."""

    differences_max: int = 200


class DepositDifference(msgspec.Struct, frozen=True, kw_only=True):
    check: str
    what: str
    expected: str
    found: str


class StateSum(msgspec.Struct, frozen=True, kw_only=True):
    """What was confirmed and is in one state now."""

    state: DepositState
    deposits: int
    amount_micro_usdt: int


class ReconciliationReport(msgspec.Struct, frozen=True, kw_only=True):
    """Chain against records against ledger. `clean`: everything was compared, and nothing differs.

    `unchecked` is what could not be compared, and why: a node or billing did not answer.
    """

    made_at_ms: int | None
    running: bool
    clean: bool
    from_height: int | None
    to_height: int | None
    addresses: int
    checks: tuple[str, ...]
    sums: tuple[StateSum, ...]
    differences: tuple[DepositDifference, ...]
    unchecked: tuple[str, ...] = ()
