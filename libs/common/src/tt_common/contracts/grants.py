"""RPC edge -> billing: credit grants, and the sequence bookkeeping of an edge's boot epochs.

Every request is safe to repeat. A grant's id is made by the edge, and `revision` counts the changes that the edge asks for: an equal one is
answered with the present state, a lower one with `stale_revision`. What is granted only grows and is billing's to say; what is given
back only grows and is the edge's to say; a grant's amount is the difference. So changes and shrinks may cross each other in any order.
Amounts are nanoUSD, slices are whole numbers.
"""

from typing import Literal

import msgspec

GRANTS_CHANGE = "billing.rpc.v1.grants.change"
GRANTS_SHRINK = "billing.rpc.v1.grants.shrink"
EPOCHS_BEAT = "billing.rpc.v1.epochs.beat"
EPOCHS_CLOSE = "billing.rpc.v1.epochs.close"


class KeyTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The key's limits as the edge knows them; billing keeps those of the highest revision."""

    key_id: str
    account_id: str
    revision: int
    monthly_limit_nanousd: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None


class Slices(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Shares of the key's rate limits. Requests and tokens belong to one window, concurrency slots to none."""

    requests: int = 0
    tokens: int = 0
    concurrency: int = 0


class ChangeGrant(msgspec.Struct, frozen=True, kw_only=True):
    """Open (`revision` 1), extend or renew a grant.

    `need_*` must be granted in full or the whole change is refused; `queued_nanousd` is what waits behind it, `want_nanousd`
    what the edge expects to spend in ten seconds: both are wishes. On an open grant the amounts are added to it. A change with
    no need renews the hard expiry. `granted_seen_nanousd` is all that the edge has been granted: a billing that knows of less has
    forgotten (its database was restored from a backup) and answers grant_ended. Errors: billing_shortfall {available_nanousd,
    need_nanousd}, api_key_quota_exceeded {limit_nanousd, remaining_nanousd, resets_at_ms}, rate_limit_exceeded {limit_kind, limit,
    retry_after_s}, grant_incomplete_knowledge
    (an edge did not answer a recall: retry later), stale_revision, grant_ended, unavailable.
    """

    grant_id: str
    revision: int
    key: KeyTerms
    edge_id: str
    boot_epoch: str
    need_nanousd: int
    need: Slices
    queued_nanousd: int = 0
    want_nanousd: int = 0
    want: Slices = Slices()
    granted_seen_nanousd: int = 0


class GrantReply(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the grant after the change. Durations count from when the edge sent the request.

    `granted_nanousd` is all that was ever granted to it. `slices` are all that were ever granted: requests and tokens of the window
    `window`, which ends in `window_remaining_s` (a new window starts from nothing), concurrency since the grant was opened.
    `limits_remaining` is what is left of the key's limits for everybody, for display.
    """

    grant_id: str
    revision: int
    granted_nanousd: int
    soft_ttl_s: float
    hard_ttl_s: float
    available_nanousd: int
    slices: Slices = Slices()
    window: int = 0
    window_remaining_s: float = 0.0
    limits_remaining: Slices = Slices()
    watermark: int = 0


class ShrinkGrant(msgspec.Struct, frozen=True, kw_only=True):
    """Give back: takes effect at once, in whatever order it arrives.

    `given_back_nanousd` and `given_back` are totals, as in GrantReply: of the window `window` for requests and tokens, since the
    opening for concurrency. `granted_seen_nanousd` and `requests_seen` are the granted totals that the edge knew of: of those
    nothing is left unused. With `final_events` set this closes the grant: it ends when that many of its events are settled or
    quarantined. A close of an unknown grant is remembered, so that an opening that comes after it is refused.
    """

    grant_id: str
    account_id: str
    key_id: str
    given_back_nanousd: int
    granted_seen_nanousd: int = 0
    window: int = 0
    given_back: Slices = Slices()
    requests_seen: int = 0
    final_events: int | None = None


class ShrinkGrants(msgspec.Struct, frozen=True, kw_only=True):
    """Several shrinks at once; the answer is an `Ack`. Ended grants are ignored."""

    edge_id: str
    boot_epoch: str
    grants: tuple[ShrinkGrant, ...]


class Recall(msgspec.Struct, frozen=True, kw_only=True):
    """Core NATS broadcast to all edges: shrink the named grants now. The asker's own grant is not among them."""

    recall_id: str
    grants: tuple[str, ...]


class RecallReply(msgspec.Struct, frozen=True, kw_only=True):
    """An edge's answer to a recall for those of the named grants that it has: the shrinks it has just carried out."""

    recall_id: str
    boot_epoch: str
    grants: tuple[ShrinkGrant, ...]


class EpochBeat(msgspec.Struct, frozen=True, kw_only=True):
    """Every second while something is unsettled: asks how far billing has settled this epoch. `last_seq`: the highest made."""

    edge_id: str
    boot_epoch: str
    last_seq: int


class EpochBeatReply(msgspec.Struct, frozen=True, kw_only=True):
    """Every event with `edge_seq` <= `watermark` is settled or quarantined and may leave the journal."""

    watermark: int


class CloseEpoch(msgspec.Struct, frozen=True, kw_only=True):
    """`epoch_closed`: that boot of the edge is over; it made the events 1..`last_seq`, `cost_nanousd` in sum.

    Its grants (lost or not) end when billing has settled through `last_seq`.
    """

    edge_id: str
    boot_epoch: str
    last_seq: int
    cost_nanousd: int
    reason: Literal["drained", "recovered"]


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """Done, or done before."""

    ok: bool = True
