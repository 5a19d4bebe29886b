"""The streams, buckets and subjects of the product, declared once. `tt_common.deploy` makes NATS look like this."""

from typing import Final, Literal

import msgspec

MIB: Final = 1024 * 1024
DAY_S: Final = 86_400


class StreamSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A JetStream stream with limits retention. Sizes in bytes, ages in seconds (0 keeps for ever); -1 is no limit."""

    name: str
    subjects: tuple[str, ...]
    max_bytes: int
    max_age_s: int
    discard: Literal["old", "new"]
    duplicate_window_s: int = 120
    messages_per_subject: int = -1
    description: str = ""


class BucketSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A KV bucket; stored by NATS in the stream `KV_<name>` under `$KV.<name>.<key>`."""

    name: str
    history: int
    max_bytes: int
    ttl_s: int = 0
    description: str = ""

    @property
    def stream(self) -> str:
        return f"KV_{self.name}"

    def subject(self, key: str) -> str:
        return f"$KV.{self.name}.{key}"


USAGE: Final = StreamSpec(
    name="USAGE",
    subjects=("usage.v1.*",),
    max_bytes=1024 * MIB,
    max_age_s=30 * DAY_S,
    discard="new",
    description="one event for every admitted call; a buffer, billing's own table is the record",
)
BILLING: Final = StreamSpec(
    name="BILLING",
    subjects=("billing.v1.*.*",),
    max_bytes=256 * MIB,
    max_age_s=30 * DAY_S,
    discard="old",
    description="wallet, hold and price events",
)
IDENTITY: Final = StreamSpec(
    name="IDENTITY",
    subjects=("identity.v1.*.*",),
    max_bytes=256 * MIB,
    max_age_s=90 * DAY_S,
    discard="old",
    description="account and key events",
)
DEPOSITS: Final = StreamSpec(
    name="DEPOSITS",
    subjects=("deposits.v1.*.*",),
    max_bytes=256 * MIB,
    max_age_s=90 * DAY_S,
    discard="old",
    description="deposits from detection to credit, and recharge orders; what billing has not booked is published again",
)
ADDRESSES: Final = StreamSpec(
    name="ADDRESSES",
    subjects=("addresses.v1.*.*",),
    max_bytes=1024 * MIB,
    max_age_s=0,
    discard="new",
    messages_per_subject=1,
    description="whose deposit address is whose, for ever: what a restored database of deposits learns again",
)
RESPONSES: Final = StreamSpec(
    name="responses",
    subjects=("responses.v1.idempotent.>",),
    max_bytes=512 * MIB,
    max_age_s=DAY_S,
    discard="old",
    description="idempotent replies, in chunks",
)
RESPONSES_CACHE: Final = StreamSpec(
    name="responses_cache",
    subjects=("responses.v1.cache.>",),
    max_bytes=512 * MIB,
    max_age_s=DAY_S,
    discard="old",
    messages_per_subject=1,
    description="the edges' response cache, in chunks; apart from idempotent replies, so that it never pushes one out",
)
STREAMS: Final = (USAGE, BILLING, IDENTITY, DEPOSITS, ADDRESSES, RESPONSES, RESPONSES_CACHE)

KEYS: Final = BucketSpec(name="keys", history=1, max_bytes=256 * MIB, description="key hash -> key record")
CATALOG: Final = BucketSpec(
    name="catalog", history=5, max_bytes=64 * MIB, description="models, routes, providers (console), prices (billing)"
)
IDEMPOTENCY: Final = BucketSpec(
    name="idempotency", history=1, max_bytes=256 * MIB, ttl_s=DAY_S, description="claims of Idempotency-Keys"
)
BUCKETS: Final = (KEYS, CATALOG, IDEMPOTENCY)

BILLING_DURABLE: Final = "billing"
CONSOLE_DURABLE: Final = "console-usage"
"""The two durables of the house on USAGE."""
BILLING_DEPOSITS_DURABLE: Final = "billing-deposits"
CONSOLE_DEPOSITS_DURABLE: Final = "console-deposits"
"""The two on DEPOSITS: what billing books, and what customers' webhooks tell of."""
DEPOSITS_BOOKED_DURABLE: Final = "deposits-booked"
"""On BILLING: what billing has booked."""

RECALL_SUBJECT: Final = "billing.recall.v1"
"""Core NATS: billing asks every edge to give back what is not reserved; edges answer to the reply subject."""
RECALL_REPLIES: Final = "billing.recalled.v1"
"""Where they answer: a token of the asking process's own below this. No inbox, so that an edge may publish to none."""


def usage_subject(account_id: str) -> str:
    return f"usage.v1.{account_id}"


def billing_subject(event: str, account_id: str) -> str:
    """`event` is the short name, such as `wallet_low`; prices use the account `house`."""
    return f"billing.v1.{event}.{account_id}"


def identity_subject(event: str, account_id: str) -> str:
    return f"identity.v1.{event}.{account_id}"


def deposits_subject(event: str, account_id: str) -> str:
    """`event` is the short name, such as `deposit_confirmed`; what is nobody's uses the account `house`."""
    return f"deposits.v1.{event}.{account_id}"


def addresses_subject(index: int | str, account_id: str) -> str:
    """By index, too: the stream can be asked whose an address is, and two claims never replace each other."""
    return f"addresses.v1.{index}.{account_id}"


def kv_token(text: str) -> str:
    """Any text as one token of a KV key: bytes outside [A-Za-z0-9_-] become `=XX`."""
    return "".join(
        chr(byte) if (byte < 128 and (chr(byte).isalnum() or chr(byte) in "-_")) else f"={byte:02X}"
        for byte in text.encode()
    )
