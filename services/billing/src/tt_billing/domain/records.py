"""Rows that travel between use cases and the store: what is recorded, and what is found."""

from uuid import UUID

import msgspec


class Delivery(msgspec.Struct, frozen=True):
    """One message of a stream."""

    subject: str
    sequence: int
    payload: bytes


class OtherGrant(msgspec.Struct, frozen=True, kw_only=True):
    """What a recall needs to know of a grant; slices are those of the key's present window."""

    grant_id: str
    account_id: str
    key_id: str
    month: str
    state: str
    held_nanousd: int
    granted_nanousd: int
    slice_requests: int
    slice_tokens: int
    slice_concurrency: int
    requests_all_used: bool


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event to record; `event` is the payload as it was received, `flags` are billing's, joined by commas."""

    id: UUID
    account_id: str
    key_id: str
    grant_id: str
    edge_id: str
    boot_epoch: str
    edge_seq: int
    model: str
    outcome: str
    month: str
    cost_nanousd: int
    charged_nanousd: int
    price_version: str
    flags: str
    event: bytes
    booked_at_ms: int


class TwinRow(msgspec.Struct, frozen=True, kw_only=True):
    """A second event of an idempotent call: it counts for its epoch and grant, and charges nothing."""

    boot_epoch: str
    edge_seq: int
    id: UUID
    grant_id: str
    cost_nanousd: int
    booked_at_ms: int


class BookedUsage(msgspec.Struct, frozen=True, kw_only=True):
    """An event as the record has it."""

    position: int
    event: bytes
    cost_nanousd: int
    charged_nanousd: int
    price_version: str
    booked_at_ms: int


class Poison(msgspec.Struct, frozen=True, kw_only=True):
    """An event for quarantine; epoch, sequence and grant of a usage event, where they could be read."""

    payload_sha256: bytes
    subject: str
    stream_sequence: int
    payload: bytes
    reason: str
    boot_epoch: str | None = None
    edge_seq: int | None = None
    grant_id: str | None = None


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """An event in quarantine; `settled_at_ms` is set once it was settled after all."""

    id: int
    subject: str
    stream_sequence: int
    payload: bytes
    reason: str
    boot_epoch: str | None
    edge_seq: int | None
    grant_id: str | None
    quarantined_at_ms: int
    settled_at_ms: int | None


class Gap(msgspec.Struct, frozen=True):
    """An epoch with settled events beyond one that is missing."""

    boot_epoch: str
    edge_id: str
    watermark: int


class MissingEvents(msgspec.Struct, frozen=True):
    """Sequences of an epoch that never came."""

    boot_epoch: str
    edge_id: str
    first_seq: int
    last_seq: int


class Difference(msgspec.Struct, frozen=True):
    """`found` is not `expected` (what the log says); both as text."""

    check: str
    what: str
    expected: str
    found: str


class RequestBefore(msgspec.Struct, frozen=True):
    """A request that was carried out: whose wallet it touched, and the hash of its body."""

    account_id: str
    body_sha256: str
