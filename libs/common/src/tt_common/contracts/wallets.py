"""RPC console-api (and later tasks, deposits) -> billing: wallets, direct holds, prices, receipts.

Requests that move money carry a caller-made `request_id`; the same id with the same body has one effect, with another body it is
refused with `idempotency_conflict`.
"""

from typing import Any, Literal

import msgspec

from tt_common.contracts.deposit_events import Entry as DepositEntry
from tt_common.contracts.events import UsageEvent
from tt_common.rating import Line, LongContextTier, Price, Rates, ServiceTier

WALLET_ADJUST = "billing.rpc.v1.wallets.adjust"
WALLET_GET = "billing.rpc.v1.wallets.get"
WALLET_CONFIGURE = "billing.rpc.v1.wallets.configure"
WALLET_ENTRIES = "billing.rpc.v1.wallets.entries"
HOLD_PLACE = "billing.rpc.v1.holds.place"
HOLD_CAPTURE = "billing.rpc.v1.holds.capture"
HOLD_RELEASE = "billing.rpc.v1.holds.release"
PRICE_PUBLISH = "billing.rpc.v1.prices.publish"
PRICE_LIST = "billing.rpc.v1.prices.list"
RECEIPT_GET = "billing.rpc.v1.receipts.get"
USAGE_EXPORT = "billing.rpc.v1.usage.export"
KEY_SPEND = "billing.rpc.v1.keys.spend"
DEPOSITS_BOOKED = "billing.rpc.v1.deposits.booked"


class AdjustWallet(msgspec.Struct, frozen=True, kw_only=True):
    """Credit (`amount_nanousd` > 0) or debit (< 0) with a reason, against `adjustments` or `receipts` (deposits).

    A debit below what is available is refused with billing_shortfall.
    """

    request_id: str
    account_id: str
    amount_nanousd: int
    reason: str
    actor: str
    kind: Literal["adjustment", "deposit"] = "adjustment"


class WalletState(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet now. `balance` = available + held. An unknown account has an empty wallet."""

    account_id: str
    available_nanousd: int
    held_nanousd: int
    overdraft_nanousd: int
    low_balance_nanousd: int | None
    transaction_id: str = ""


class GetWallet(msgspec.Struct, frozen=True, kw_only=True):
    account_id: str


class ConfigureWallet(msgspec.Struct, frozen=True, kw_only=True):
    """Set the overdraft and the low-balance alert threshold (None switches the alert off)."""

    account_id: str
    overdraft_nanousd: int
    low_balance_nanousd: int | None


class ListEntries(msgspec.Struct, frozen=True, kw_only=True):
    """Ledger entries of one account, newest first; `before` is the cursor of the page before."""

    account_id: str
    limit: int = 50
    before: int | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One transfer: `amount_nanousd` moved from bucket `debit` to bucket `credit`."""

    seq: int
    transaction_id: str
    kind: str
    debit: str
    credit: str
    amount_nanousd: int
    source: str
    source_id: str
    details: dict[str, Any]
    occurred_at_ms: int
    booked_at_ms: int


class EntryPage(msgspec.Struct, frozen=True, kw_only=True):
    entries: tuple[Entry, ...]
    next_before: int | None


class PlaceHold(msgspec.Struct, frozen=True, kw_only=True):
    """A direct hold that lives `ttl_s`; `hold_id` is caller-made and the idempotency key."""

    hold_id: str
    account_id: str
    key_id: str
    amount_nanousd: int
    ttl_s: int
    reason: str


class CaptureHold(msgspec.Struct, frozen=True, kw_only=True):
    """Charge `amount_nanousd` (at most the hold) and release the rest. Ends the hold."""

    hold_id: str
    account_id: str
    amount_nanousd: int
    price_version: str = ""


class ReleaseHold(msgspec.Struct, frozen=True, kw_only=True):
    hold_id: str
    account_id: str


class HoldState(msgspec.Struct, frozen=True, kw_only=True):
    hold_id: str
    account_id: str
    state: Literal["open", "captured", "released", "expired"]
    amount_nanousd: int
    captured_nanousd: int


class PublishPrice(msgspec.Struct, frozen=True, kw_only=True):
    """A new version for `model`; `starts_at_ms` of None is now. The same rates as the newest version: that version is returned."""

    model: str
    rates: Rates
    actor: str
    long_context: tuple[LongContextTier, ...] = ()
    service_tiers: tuple[ServiceTier, ...] = ()
    starts_at_ms: int | None = None


class ListPrices(msgspec.Struct, frozen=True, kw_only=True):
    """Every version of one model, or the version in force of every model where `model` is None."""

    model: str | None = None


class PriceList(msgspec.Struct, frozen=True, kw_only=True):
    prices: tuple[Price, ...]


class GetReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """By request id (the event's id), only within the account. Error: receipt_not_found."""

    account_id: str
    request_id: str


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Why a call cost what it did. Σ lines, rounded half up once, is `cost_nanousd`; `charged_nanousd` is what was booked."""

    event: UsageEvent
    price: Price | None
    lines: tuple[Line, ...]
    cost_nanousd: int
    charged_nanousd: int
    entries: tuple[Entry, ...]
    booked_at_ms: int


class ExportUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Billing's own event table in booking order, for rebuilding read models; `after` is the last `position` read."""

    after: int = 0
    limit: int = 1000


class ExportedUsage(msgspec.Struct, frozen=True, kw_only=True):
    position: int
    charged_nanousd: int
    booked_at_ms: int
    event: UsageEvent


class UsagePage(msgspec.Struct, frozen=True, kw_only=True):
    events: tuple[ExportedUsage, ...]
    next_after: int | None


class GetKeySpend(msgspec.Struct, frozen=True, kw_only=True):
    """What the keys have spent and hold in the present calendar month (UTC)."""

    key_ids: tuple[str, ...]


class KeySpend(msgspec.Struct, frozen=True, kw_only=True):
    key_id: str
    month: str
    spent_nanousd: int
    held_nanousd: int


class KeySpendList(msgspec.Struct, frozen=True, kw_only=True):
    keys: tuple[KeySpend, ...]


class ListBookedDeposits(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger has of deposits, in ledger order; `after` is the last `seq` read."""

    after: int = 0
    limit: int = 1000


class BookedDeposit(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a deposit in the ledger."""

    seq: int
    deposit_id: str
    entry: DepositEntry
    account_id: str
    amount_nanousd: int
    transaction_id: str
    booked_at_ms: int


class BookedDepositPage(msgspec.Struct, frozen=True, kw_only=True):
    deposits: tuple[BookedDeposit, ...]
    next_after: int | None
