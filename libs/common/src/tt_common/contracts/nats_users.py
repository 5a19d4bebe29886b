"""Who on NATS may say and hear what: one user a service, each with the subjects that it needs and no other.

Invariant: nobody but `admin` may make or delete a stream, and nobody hears another's inbox: requests are answered below
`_INBOX.<user>`, which only that user may subscribe to. Never holds a password; `tt_common.nats_accounts` makes server configuration of it.
"""

from typing import Final

import msgspec

from tt_common.contracts import grants, wallets
from tt_common.contracts.event_types import EVENT_STREAMS
from tt_common.contracts.streams import (
    ADDRESSES,
    BILLING,
    BILLING_DEPOSITS_DURABLE,
    BILLING_DURABLE,
    BUCKETS,
    CATALOG,
    CONSOLE_DEPOSITS_DURABLE,
    CONSOLE_DURABLE,
    DEPOSITS,
    DEPOSITS_BOOKED_DURABLE,
    IDEMPOTENCY,
    IDENTITY,
    KEYS,
    RECALL_REPLIES,
    RECALL_SUBJECT,
    RESPONSES,
    RESPONSES_CACHE,
    STREAMS,
    USAGE,
    BucketSpec,
)

INBOX: Final = "_INBOX"
API: Final = "$JS.API"


class NatsUser(msgspec.Struct, frozen=True, kw_only=True):
    """What one user may publish to and subscribe to, beside its own inboxes; `never_publish` wins over `publish`."""

    name: str
    purpose: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...] = ()
    never_publish: tuple[str, ...] = ()

    @property
    def inbox(self) -> str:
        """Where answers to this user's requests go."""
        return f"{INBOX}.{self.name}"

    @property
    def may_subscribe(self) -> tuple[str, ...]:
        return (*self.subscribe, f"{self.inbox}.>")


def inbox_prefix(user: str | None) -> str:
    """The prefix of a connection's inboxes; NATS' own where the connection names no user."""
    return f"{INBOX}.{user}" if user else INBOX


def _info(*streams: str) -> tuple[str, ...]:
    return tuple(f"{API}.STREAM.INFO.{stream}" for stream in streams)


def _durable(stream: str, name: str) -> tuple[str, ...]:
    """Make, read and settle one durable, and no other consumer of the stream."""
    return (
        f"{API}.CONSUMER.DURABLE.CREATE.{stream}.{name}",
        f"{API}.CONSUMER.INFO.{stream}.{name}",
        f"{API}.CONSUMER.DELETE.{stream}.{name}",
        f"{API}.CONSUMER.MSG.NEXT.{stream}.{name}",
        f"$JS.ACK.{stream}.{name}.>",
    )


def _passing(stream: str, subject: str) -> tuple[str, ...]:
    """Read by a consumer of a random name that acknowledges nothing and vanishes."""
    return (
        f"{API}.CONSUMER.CREATE.{stream}.*.{subject}",
        f"{API}.CONSUMER.INFO.{stream}.*",
        f"{API}.CONSUMER.MSG.NEXT.{stream}.*",
    )


def _mirror(bucket: BucketSpec) -> tuple[str, ...]:
    return (*_info(bucket.stream), *_passing(bucket.stream, bucket.subject(">")))


def _last(bucket: BucketSpec, key: str) -> str:
    """Read what a bucket has under `key` now: no record is put over a newer one."""
    return f"{API}.DIRECT.GET.{bucket.stream}.{bucket.subject(key)}"


def _hands_off(stream: str, durable: str) -> tuple[str, ...]:
    """What `_passing` on a stream must not be used for: somebody's durable."""
    return (f"{API}.CONSUMER.CREATE.{stream}.{durable}.>", f"{API}.CONSUMER.MSG.NEXT.{stream}.{durable}")


EDGE: Final = NatsUser(
    name="edge",
    purpose="usage events, idempotency claims, kept answers; asks billing for grants; mirrors keys and catalog",
    publish=(
        *USAGE.subjects,
        IDEMPOTENCY.subject("*"),
        *RESPONSES.subjects,
        *RESPONSES_CACHE.subjects,
        grants.GRANTS_CHANGE,
        grants.GRANTS_SHRINK,
        grants.EPOCHS_BEAT,
        grants.EPOCHS_CLOSE,
        f"{RECALL_REPLIES}.*",
        *_info(USAGE.name, RESPONSES.name, RESPONSES_CACHE.name, IDEMPOTENCY.stream),
        *_mirror(KEYS),
        *_mirror(CATALOG),
        f"{API}.DIRECT.GET.{KEYS.stream}.>",
        f"{API}.STREAM.MSG.GET.{IDEMPOTENCY.stream}",
        f"{API}.STREAM.MSG.GET.{RESPONSES.name}",
        f"{API}.DIRECT.GET.{RESPONSES_CACHE.name}",
        f"{API}.DIRECT.GET.{RESPONSES_CACHE.name}.>",
    ),
    subscribe=(RECALL_SUBJECT, KEYS.subject(">"), CATALOG.subject(">")),
)

CONSOLE: Final = NatsUser(
    name="console",
    purpose="keys, models, providers and identity events; asks billing about wallets, prices, receipts; reads usage",
    publish=(
        *IDENTITY.subjects,
        KEYS.subject("*"),
        CATALOG.subject("model.*"),
        CATALOG.subject("provider.*"),
        wallets.WALLET_ADJUST,
        wallets.WALLET_GET,
        wallets.WALLET_CONFIGURE,
        wallets.WALLET_ENTRIES,
        wallets.PRICE_PUBLISH,
        wallets.PRICE_LIST,
        wallets.RECEIPT_GET,
        wallets.USAGE_EXPORT,
        wallets.KEY_SPEND,
        "deposits.rpc.v1.>",
        *_info(USAGE.name, IDENTITY.name, DEPOSITS.name),
        *_durable(DEPOSITS.name, CONSOLE_DEPOSITS_DURABLE),
        *_mirror(KEYS),
        *_mirror(CATALOG),
        _last(KEYS, "*"),
        _last(CATALOG, "model.*"),
        _last(CATALOG, "provider.*"),
        *_durable(USAGE.name, CONSOLE_DURABLE),
        *_passing(USAGE.name, USAGE.subjects[0]),
    ),
    subscribe=DEPOSITS.subjects,
    never_publish=_hands_off(USAGE.name, BILLING_DURABLE),
)

ADMIN: Final = NatsUser(
    name="admin",
    purpose="people and backups: everything in the product's account. Given to no service",
    publish=(">",),
    subscribe=(">",),
)

DEPOSITS_USER: Final = NatsUser(
    name="deposits",
    purpose="deposits and recharge orders; serves addresses and records; hears what billing has booked",
    publish=(
        *DEPOSITS.subjects,
        *ADDRESSES.subjects,
        wallets.DEPOSITS_BOOKED,
        f"{CONSOLE.inbox}.>",
        f"{ADMIN.inbox}.>",
        *_info(DEPOSITS.name, BILLING.name, ADDRESSES.name),
        *_passing(ADDRESSES.name, ADDRESSES.subjects[0]),
        f"{API}.STREAM.MSG.GET.{ADDRESSES.name}",
        *_durable(BILLING.name, DEPOSITS_BOOKED_DURABLE),
    ),
    subscribe=("deposits.rpc.v1.>", "$SRV.>"),
)

DEPLOY: Final = NatsUser(
    name="deploy",
    purpose="the one-shot step that makes and changes streams and buckets; deletes nothing",
    publish=tuple(
        f"{API}.STREAM.{verb}.{stream}"
        for stream in (*(spec.name for spec in STREAMS), *(bucket.stream for bucket in BUCKETS))
        for verb in ("INFO", "CREATE", "UPDATE")
    ),
)

EVENTS: Final = NatsUser(
    name="events",
    purpose="`make events`: reads the event streams, changes nothing",
    publish=tuple(
        subject
        for spec in EVENT_STREAMS
        for subject in (*_info(spec.name), *(s for listens in spec.subjects for s in _passing(spec.name, listens)))
    ),
    never_publish=(
        *_hands_off(USAGE.name, BILLING_DURABLE),
        *_hands_off(USAGE.name, CONSOLE_DURABLE),
        *_hands_off(DEPOSITS.name, BILLING_DEPOSITS_DURABLE),
        *_hands_off(DEPOSITS.name, CONSOLE_DEPOSITS_DURABLE),
        *_hands_off(BILLING.name, DEPOSITS_BOOKED_DURABLE),
    ),
)

BILLING_USER: Final = NatsUser(
    name="billing",
    purpose="serves grants, wallets and prices; recalls grants; settles USAGE and purges what is settled",
    publish=(
        *BILLING.subjects,
        CATALOG.subject("price.*"),
        RECALL_SUBJECT,
        # Answers to those who may ask. A list instead of `allow_responses`: that would let it answer whatever it overhears, and the
        # server would remember every delivered message for it.
        *(f"{user.inbox}.>" for user in (EDGE, CONSOLE, DEPOSITS_USER, ADMIN)),
        *_info(USAGE.name, BILLING.name, DEPOSITS.name, CATALOG.stream),
        _last(CATALOG, "price.*"),
        *_passing(CATALOG.stream, CATALOG.subject("price.*")),
        f"{API}.STREAM.PURGE.{USAGE.name}",
        *_durable(USAGE.name, BILLING_DURABLE),
        *_durable(DEPOSITS.name, BILLING_DEPOSITS_DURABLE),
        f"{API}.CONSUMER.INFO.{USAGE.name}.{CONSOLE_DURABLE}",
    ),
    subscribe=("billing.rpc.v1.>", f"{RECALL_REPLIES}.*", "$SRV.>"),
)

USERS: Final = (EDGE, BILLING_USER, CONSOLE, DEPOSITS_USER, DEPLOY, EVENTS, ADMIN)
