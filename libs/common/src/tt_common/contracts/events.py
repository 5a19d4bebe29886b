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
    """The provider's id in the catalog."""
    error: str
    """Why it was given up, such as `timeout` or `connection`."""
    status: int = 0
    """HTTP status it answered with; 0 where there was none."""
    duration_ms: int = 0
    """Milliseconds until it was given up."""


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`usage.v1`: one admitted call, whatever its outcome. `id` is also the call's X-TT-Request-ID.

    (`boot_epoch`, `edge_seq`) is contiguous from 1 within an epoch. `cost_nanousd` was rated with `price_version` and is
    copied, never recomputed, downstream.
    """

    id: str
    """The event's id and `ce-id`; also the call's X-TT-Request-ID."""
    account_id: str
    """The customer's account."""
    key_id: str
    """The API key's id; it stays the same over rotations."""
    edge_id: str
    """The edge that served the call."""
    boot_epoch: str
    """One run of that edge; random."""
    edge_seq: int
    """Position within the epoch, contiguous from 1."""
    grant_id: str
    """The slice of the wallet that the call was held against; empty where it held nothing."""
    hold_id: str
    """The call's X-TT-Hold-ID."""
    hold_nanousd: int
    """Promised for the call before it began, in nanoUSD."""
    outcome: Outcome
    """How the call ended: see the values' meanings in docs/events.md."""
    status: int
    """HTTP status that the client got."""
    endpoint: str
    """Path of the API, such as `/v1/chat/completions`."""
    protocol: str
    """Wire protocol of the client, such as `openai`."""
    model: str
    """The model as the client named it."""
    provider: str
    """Who served it; empty where nobody did."""
    upstream_model: str
    """The model's name at that provider."""
    stream: bool
    """Whether the answer was streamed."""
    usage: Usage
    """What was used, in disjoint classes."""
    usage_source: Literal["provider", "estimated", "none"]
    """provider: as it reported; estimated: counted by the edge; none: nothing was used."""
    service_tier: str = ""
    """The provider's word for how it served the call, where it said one: its price may differ."""
    price_version: str
    """The immutable price version that the cost was rated with."""
    cost_nanousd: int
    """What the call costs the account, in nanoUSD."""
    started_at_ms: int
    """When the call was admitted, by the edge's clock."""
    finished_at_ms: int
    """When it was settled, by the edge's clock."""
    first_byte_ms: int = 0
    """Milliseconds from the start to the provider's first byte."""
    overhead_ms: float = 0.0
    """Milliseconds that the gateway itself added."""
    attempts: tuple[Attempt, ...] = ()
    """Providers that were tried before and given up."""
    flags: tuple[str, ...] = ()
    """What was unusual, one word each; more may come."""
    error_code: str = ""
    """The code of the error that the client got; empty where there was none."""
    provider_request_id: str = ""
    """The provider's own id of the call."""
    traceparent: str = ""
    """W3C trace context of the call; empty where it was not traced."""


class WalletAdjusted(msgspec.Struct, frozen=True, kw_only=True):
    """`billing.wallet_adjusted.v1`: a credit (above 0) or debit (below 0) that was not usage."""

    id: str
    """The event's id and `ce-id`."""
    account_id: str
    """The customer's account."""
    kind: str
    """What it was, such as `adjustment`."""
    amount_nanousd: int
    """Added to the wallet (above 0) or taken from it (below 0), in nanoUSD."""
    available_nanousd: int
    """Spendable afterwards, in nanoUSD."""
    reason: str
    """The operator's words."""
    actor: str
    """Who did it."""
    booked_at_ms: int
    """When it was booked, by billing's clock."""


class WalletLow(msgspec.Struct, frozen=True, kw_only=True):
    """`billing.wallet_low.v1`: balance (available + held) fell below the account's alert threshold; once per fall."""

    id: str
    """The event's id and `ce-id`."""
    account_id: str
    """The customer's account."""
    balance_nanousd: int
    """Available and held together, in nanoUSD."""
    threshold_nanousd: int
    """The account's alert threshold, in nanoUSD."""
    booked_at_ms: int
    """When it was booked, by billing's clock."""


class WalletOverdrawn(msgspec.Struct, frozen=True, kw_only=True):
    """`billing.wallet_overdrawn.v1`: usage settled beyond what was held and took `available` below -overdraft."""

    id: str
    """The event's id and `ce-id`."""
    account_id: str
    """The customer's account."""
    available_nanousd: int
    """Spendable afterwards, in nanoUSD; below 0."""
    event_id: str
    """The usage event that took it there."""
    booked_at_ms: int
    """When it was booked, by billing's clock."""


class HoldPlaced(msgspec.Struct, frozen=True, kw_only=True):
    """`billing.hold_placed.v1`: a direct hold (of a task) was placed."""

    id: str
    """The event's id and `ce-id`."""
    account_id: str
    """The customer's account."""
    hold_id: str
    """The hold."""
    amount_nanousd: int
    """Held, in nanoUSD."""
    booked_at_ms: int
    """When it was booked, by billing's clock."""


class HoldEnded(msgspec.Struct, frozen=True, kw_only=True):
    """`billing.hold_ended.v1`: a direct hold was captured, released or expired; `captured_nanousd` of it was charged."""

    id: str
    """The event's id and `ce-id`."""
    account_id: str
    """The customer's account."""
    hold_id: str
    """The hold."""
    state: Literal["captured", "released", "expired"]
    """How it ended."""
    captured_nanousd: int
    """Charged of it, in nanoUSD; 0 unless captured."""
    booked_at_ms: int
    """When it was booked, by billing's clock."""


class GrantLost(msgspec.Struct, frozen=True, kw_only=True):
    """`billing.grant_lost.v1`: a grant passed its hard expiry; what is left of it stays held until its epoch is known."""

    id: str
    """The event's id and `ce-id`."""
    account_id: str
    """The customer's account."""
    grant_id: str
    """The grant."""
    edge_id: str
    """The edge that had it."""
    boot_epoch: str
    """The run of that edge."""
    held_nanousd: int
    """Still held for it, in nanoUSD."""
    booked_at_ms: int
    """When it was booked, by billing's clock."""


class PricePublished(msgspec.Struct, frozen=True, kw_only=True):
    """`billing.price_published.v1`: a new immutable price version exists."""

    id: str
    """The event's id and `ce-id`."""
    model: str
    """The model that it prices."""
    version: str
    """The price version's name, as usage events carry it."""
    starts_at_ms: int
    """From when it is in force."""
    booked_at_ms: int
    """When it was booked, by billing's clock."""


class AccountCreated(msgspec.Struct, frozen=True, kw_only=True):
    """`identity.account_created.v1`."""

    id: str
    """The event's id and `ce-id`."""
    account_id: str
    """The customer's account."""
    created_at_ms: int
    """When, by the console's clock."""


class KeyChanged(msgspec.Struct, frozen=True, kw_only=True):
    """`identity.key_changed.v1`: a key was made, renamed, limited, rotated, disabled or deleted."""

    id: str
    """The event's id and `ce-id`."""
    account_id: str
    """The customer's account."""
    key_id: str
    """The key's id."""
    change: Literal["created", "updated", "rotated", "disabled", "enabled", "deleted"]
    """What happened to it."""
    revision: int
    """Counts the key's changes from 1."""
    changed_at_ms: int
    """When, by the console's clock."""
