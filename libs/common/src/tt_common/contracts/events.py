"""Events on JetStream: the data part of CloudEvents 1.0 (binary mode), one struct a type.

Wire names are literal and versioned. Money is integer nanoUSD (far below 2^53 for one event), times are Unix milliseconds.
"""

from typing import Literal

import msgspec

from tt_common.rating import Usage

USAGE_V1 = "usage.v1"
EDGE_SOURCE = "/tokentally/edge"
BILLING_SOURCE = "/tokentally/billing"
CONSOLE_SOURCE = "/tokentally/console-api"

Outcome = Literal[
    "succeeded",
    "failed",
    "client_disconnected",
    "cut_off",
    "upstream_broken",
    "unresolved",
]
"""succeeded: the provider's answer was complete. failed: no provider gave output. client_disconnected: the client left first.
cut_off: the wallet was spent in the middle. upstream_broken: the provider failed after output had begun.
unresolved: the edge died between start and settlement; charged nothing, for an operator to look at."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One try at one provider that was given up before its first byte reached the client."""

    provider: str
    error: str
    status: int = 0
    duration_ms: int = 0


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`usage.v1`: one admitted call, whatever its outcome. `id` is also the call's X-TT-Request-ID.

    (`boot_epoch`, `edge_seq`) is contiguous from 1 within an epoch. `cost_nanousd` was rated with `price_version` and is
    copied, never recomputed, downstream.
    """

    id: str
    account_id: str
    key_id: str
    edge_id: str
    boot_epoch: str
    edge_seq: int
    grant_id: str
    hold_id: str
    hold_nanousd: int
    outcome: Outcome
    status: int
    endpoint: str
    protocol: str
    model: str
    provider: str
    upstream_model: str
    stream: bool
    usage: Usage
    usage_source: Literal["provider", "estimated", "none"]
    price_version: str
    cost_nanousd: int
    started_at_ms: int
    finished_at_ms: int
    first_byte_ms: int = 0
    overhead_ms: float = 0.0
    attempts: tuple[Attempt, ...] = ()
    flags: tuple[str, ...] = ()
    error_code: str = ""
    provider_request_id: str = ""
    traceparent: str = ""


class WalletAdjusted(msgspec.Struct, frozen=True, kw_only=True):
    """`billing.wallet_adjusted.v1`: a credit (above 0) or debit (below 0) that was not usage."""

    id: str
    account_id: str
    kind: str
    amount_nanousd: int
    available_nanousd: int
    reason: str
    actor: str
    booked_at_ms: int


class WalletLow(msgspec.Struct, frozen=True, kw_only=True):
    """`billing.wallet_low.v1`: balance (available + held) fell below the account's alert threshold; once per fall."""

    id: str
    account_id: str
    balance_nanousd: int
    threshold_nanousd: int
    booked_at_ms: int


class WalletOverdrawn(msgspec.Struct, frozen=True, kw_only=True):
    """`billing.wallet_overdrawn.v1`: usage settled beyond what was held and took `available` below -overdraft."""

    id: str
    account_id: str
    available_nanousd: int
    event_id: str
    booked_at_ms: int


class HoldPlaced(msgspec.Struct, frozen=True, kw_only=True):
    """`billing.hold_placed.v1`: a direct hold (of a task) was placed."""

    id: str
    account_id: str
    hold_id: str
    amount_nanousd: int
    booked_at_ms: int


class HoldEnded(msgspec.Struct, frozen=True, kw_only=True):
    """`billing.hold_ended.v1`: a direct hold was captured, released or expired; `captured_nanousd` of it was charged."""

    id: str
    account_id: str
    hold_id: str
    state: Literal["captured", "released", "expired"]
    captured_nanousd: int
    booked_at_ms: int


class GrantLost(msgspec.Struct, frozen=True, kw_only=True):
    """`billing.grant_lost.v1`: a grant passed its hard expiry; what is left of it stays held until its epoch is known."""

    id: str
    account_id: str
    grant_id: str
    edge_id: str
    boot_epoch: str
    held_nanousd: int
    booked_at_ms: int


class PricePublished(msgspec.Struct, frozen=True, kw_only=True):
    """`billing.price_published.v1`: a new immutable price version exists."""

    id: str
    model: str
    version: str
    starts_at_ms: int
    booked_at_ms: int


class AccountCreated(msgspec.Struct, frozen=True, kw_only=True):
    """`identity.account_created.v1`."""

    id: str
    account_id: str
    created_at_ms: int


class KeyChanged(msgspec.Struct, frozen=True, kw_only=True):
    """`identity.key_changed.v1`: a key was made, renamed, limited, rotated, disabled or deleted."""

    id: str
    account_id: str
    key_id: str
    change: Literal["created", "updated", "rotated", "disabled", "enabled", "deleted"]
    revision: int
    changed_at_ms: int
