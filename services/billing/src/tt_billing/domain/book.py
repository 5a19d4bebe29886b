"""The working set of one transaction: wallets, grants, holds and counters in memory, and the transfers that change them.

Invariant: money moves only through `Book.post`, which writes one transfer (two postings that cancel) and brings every
projection along, so what is saved with the transfers is what a replay of them gives. Never reads a clock or a
database.
"""

from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from tt_common.clock import month_of
from tt_common.contracts.events import WalletLow
from tt_common.ids import derived_event_id

Bucket = Literal["available", "held", "revenue", "receipts", "adjustments", "suspense"]
GrantState = Literal["open", "closing", "lost", "ended"]
HoldStatus = Literal["open", "captured", "released", "expired"]

NEVER_MS: Final = -(2**40)


class Wallet(msgspec.Struct, kw_only=True):
    """What an account has: free (`available`, below zero only by late usage) and promised (`held`)."""

    account_id: str
    available_nanousd: int = 0
    held_nanousd: int = 0
    overdraft_nanousd: int = 0
    low_balance_nanousd: int | None = None
    low_notified: bool = False

    @property
    def free_nanousd(self) -> int:
        """What may still be promised."""
        return self.available_nanousd + self.overdraft_nanousd


class Grant(msgspec.Struct, kw_only=True):
    """A slice of a wallet lent to one edge for one key. Its amount is `held` (not yet used) plus `captured`.

    `back_…` are totals of what the edge has given back, `slice_…` what it has now: granted is the sum of both.

    `requests_all_used` is true when the edge has said that every request of its slice is used: nothing of them can be recalled.
    """

    grant_id: str
    account_id: str
    key_id: str
    edge_id: str
    boot_epoch: str
    month: str
    state: GrantState = "open"
    revision: int = 0
    held_nanousd: int = 0
    captured_nanousd: int = 0
    settled_events: int = 0
    final_events: int | None = None
    slice_window: int = 0
    slice_requests: int = 0
    slice_tokens: int = 0
    slice_concurrency: int = 0
    back_nanousd: int = 0
    back_requests: int = 0
    back_tokens: int = 0
    back_concurrency: int = 0
    requests_all_used: bool = True
    expires_clock_ms: int = 0
    lost_clock_ms: int | None = None
    lost_usage_seq: int | None = None
    opened_at_ms: int = 0

    @property
    def granted_nanousd(self) -> int:
        """All that was ever granted: what is held, what was captured, what came back."""
        return self.held_nanousd + self.captured_nanousd + self.back_nanousd


class Hold(msgspec.Struct, kw_only=True):
    """A direct hold, placed for something that lives for hours."""

    hold_id: str
    account_id: str
    key_id: str
    month: str
    amount_nanousd: int
    reason: str
    state: HoldStatus = "open"
    captured_nanousd: int = 0
    ttl_s: int
    expires_clock_ms: int
    placed_at_ms: int


class KeyWindow(msgspec.Struct, kw_only=True):
    """A key's limits and what of them is handed out: requests and tokens in the present window, concurrency in all."""

    key_id: str
    account_id: str
    revision: int = -1
    monthly_limit_nanousd: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    window: int = 0
    started_ms: int = NEVER_MS
    requests_out: int = 0
    tokens_out: int = 0
    concurrency_out: int = 0


class KeyMonth(msgspec.Struct, kw_only=True):
    """What a key has spent and holds of one calendar month; the deltas are what this transaction added."""

    key_id: str
    month: str
    spent_nanousd: int = 0
    held_nanousd: int = 0
    spent_delta: int = 0
    held_delta: int = 0


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """One ledger row: `amount_nanousd` (above 0) from bucket `debit` to bucket `credit` of one account."""

    transaction_id: UUID
    leg: int
    kind: str
    account_id: str
    debit: Bucket
    credit: Bucket
    amount_nanousd: int
    source: str
    source_id: str
    grant_id: str | None
    hold_id: str | None
    key_id: str | None
    month: str | None
    price_version: str | None
    details: dict[str, Any]
    occurred_at_ms: int
    booked_at_ms: int


class Book:
    """Loaded under the wallets' locks, changed by the domain's functions, saved whole."""

    def __init__(self, booked_at_ms: int, clock_ms: int) -> None:
        """`booked_at_ms` is billing's wall clock, `clock_ms` its operational clock (durations only)."""
        self.booked_at_ms = booked_at_ms
        self.clock_ms = clock_ms
        self.month = month_of(booked_at_ms)
        self.wallets: dict[str, Wallet] = {}
        self.grants: dict[str, Grant] = {}
        self.holds: dict[str, Hold] = {}
        self.windows: dict[str, KeyWindow] = {}
        self.months: dict[tuple[str, str], KeyMonth] = {}
        self.transfers: list[Transfer] = []
        self.events: list[msgspec.Struct] = []
        self.changed_wallets: set[str] = set()
        self.changed_grants: set[str] = set()
        self.changed_holds: set[str] = set()
        self.changed_windows: set[str] = set()

    def key_month(self, key_id: str, month: str) -> KeyMonth:
        """The counters of a key's month; empty ones where there were none."""
        found = self.months.get((key_id, month))
        if found is None:
            found = self.months[key_id, month] = KeyMonth(key_id=key_id, month=month)
        return found

    def post(
        self,
        kind: str,
        account_id: str,
        debit: Bucket,
        credit: Bucket,
        amount_nanousd: int,
        *,
        source: str,
        source_id: str,
        transaction: UUID | None = None,
        leg: int = 0,
        grant_id: str | None = None,
        hold_id: str | None = None,
        key_id: str | None = None,
        month: str | None = None,
        price_version: str | None = None,
        details: dict[str, Any] | None = None,
        occurred_at_ms: int | None = None,
    ) -> Transfer:
        """Move money and bring wallet, grant and key month along. (source, source_id, leg) is unique for ever.

        `transaction` is `transaction_id(source, source_id)`, where the caller has it already.
        """
        if amount_nanousd <= 0:
            raise ValueError("a transfer moves more than nothing")
        transfer = Transfer(
            transaction_id=transaction or transaction_id(source, source_id),
            leg=leg,
            kind=kind,
            account_id=account_id,
            debit=debit,
            credit=credit,
            amount_nanousd=amount_nanousd,
            source=source,
            source_id=source_id,
            grant_id=grant_id,
            hold_id=hold_id,
            key_id=key_id,
            month=month,
            price_version=price_version,
            details=details or {},
            occurred_at_ms=self.booked_at_ms if occurred_at_ms is None else occurred_at_ms,
            booked_at_ms=self.booked_at_ms,
        )
        self.transfers.append(transfer)
        self._project(transfer)
        return transfer

    def _project(self, transfer: Transfer) -> None:
        amount = transfer.amount_nanousd
        wallet = self.wallets[transfer.account_id]
        held_change = amount * ((transfer.credit == "held") - (transfer.debit == "held"))
        wallet.available_nanousd += amount * ((transfer.credit == "available") - (transfer.debit == "available"))
        wallet.held_nanousd += held_change
        self.changed_wallets.add(wallet.account_id)
        if transfer.grant_id is not None and held_change:
            grant = self.grants[transfer.grant_id]
            grant.held_nanousd += held_change
            if transfer.credit == "revenue":
                grant.captured_nanousd += amount
            self.changed_grants.add(grant.grant_id)
        if transfer.key_id is not None and transfer.month is not None:
            key_month = self.key_month(transfer.key_id, transfer.month)
            spent_change = amount if transfer.credit == "revenue" else 0
            key_month.held_nanousd += held_change
            key_month.held_delta += held_change
            key_month.spent_nanousd += spent_change
            key_month.spent_delta += spent_change

    def watch_low_balances(self) -> None:
        """Tell once of each wallet that fell below its alert threshold; a wallet back above it is armed again."""
        for account_id in sorted(self.changed_wallets):
            wallet = self.wallets[account_id]
            balance = wallet.available_nanousd + wallet.held_nanousd
            is_low = wallet.low_balance_nanousd is not None and balance < wallet.low_balance_nanousd
            if is_low and not wallet.low_notified:
                self.events.append(
                    WalletLow(
                        id=derived_event_id("wallet_low", account_id, str(self.booked_at_ms), str(balance)),
                        account_id=account_id,
                        balance_nanousd=balance,
                        threshold_nanousd=wallet.low_balance_nanousd or 0,
                        booked_at_ms=self.booked_at_ms,
                    )
                )
            wallet.low_notified = is_low


def transaction_id(source: str, source_id: str) -> UUID:
    """The transaction of a cause: a usage event's own id, else derived, so that all legs of a cause share it."""
    return UUID(source_id) if source == "usage" else UUID(derived_event_id(source, source_id))
