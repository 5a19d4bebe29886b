"""What a call needs at hand, and the state of one call on its way through."""

import msgspec

from tt_common.clock import monotonic_s, now_ms
from tt_common.contracts.events import Attempt, UsageEvent
from tt_common.contracts.records import KeyRecord, ModelRecord, Route
from tt_common.ids import id_of_event, new_event_id
from tt_common.rating import Price
from tt_common.telemetry.context import TraceContext
from tt_common.telemetry.tracing import UNTRACED, Tracing
from tt_edge.cache.answers import AnswerCache
from tt_edge.cache.use import CacheUse
from tt_edge.clients.idempotency import Claimed, IdempotencyStore
from tt_edge.clients.spool import SpoolRoom
from tt_edge.clients.upstream import Upstream
from tt_edge.clients.usage_publisher import UsagePublisher
from tt_edge.crash_points import CrashCheck, never
from tt_edge.credit.grants import Hold
from tt_edge.credit.keeper import CreditKeeper
from tt_edge.domain.estimate import Estimate
from tt_edge.journal.journal import Journal
from tt_edge.protocols.endpoints import Endpoint, MediaEndpoint
from tt_edge.protocols.port import Request
from tt_edge.routing.routes import RouteBook
from tt_edge.store.catalog import Catalog
from tt_edge.store.keys import KeyDirectory
from tt_edge.usecases.tally_calls import CallTallies


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that the use cases read."""

    key_prefixes: tuple[str, ...]
    trusted_proxies: tuple[str, ...]
    json_body_bytes_max: int
    form_bytes_max: int
    answer_bytes_max: int
    drain_s: float
    unsettled_nanousd_max: int


class Gateway:
    """Everything one worker has; made once in main."""

    def __init__(
        self,
        limits: Limits,
        keys: KeyDirectory,
        catalog: Catalog,
        credit: CreditKeeper,
        routes: RouteBook,
        upstream: Upstream,
        journal: Journal,
        publisher: UsagePublisher,
        idempotency: IdempotencyStore,
        answers: AnswerCache,
        spools: SpoolRoom,
        crash: CrashCheck = never,
        tracing: Tracing = UNTRACED,
    ) -> None:
        self.limits = limits
        self.keys = keys
        self.catalog = catalog
        self.credit = credit
        self.routes = routes
        self.upstream = upstream
        self.journal = journal
        self.publisher = publisher
        self.idempotency = idempotency
        self.answers = answers
        self.spools = spools
        self.crash = crash
        self.tracing = tracing
        self.tallies = CallTallies()


class Call:
    """One call from its first byte to its usage event. `id` is the request id and the event's id."""

    __slots__ = (
        "attempts",
        "cache",
        "claim",
        "endpoint",
        "estimate",
        "event",
        "first_byte_at",
        "hold",
        "hold_id",
        "id",
        "key",
        "lowered_limit",
        "model",
        "price",
        "provider_request_id",
        "refusal",
        "request",
        "route",
        "saved",
        "settled",
        "started",
        "started_at",
        "started_at_ms",
        "trace",
        "traceparent",
        "upstream_s",
    )

    def __init__(self, endpoint: Endpoint | MediaEndpoint) -> None:
        self.id = new_event_id()
        self.hold_id = id_of_event("hold", self.id)
        self.endpoint = endpoint
        self.started_at = monotonic_s()
        self.started_at_ms = now_ms()
        self.trace: TraceContext | None = None
        self.traceparent = ""
        self.event: UsageEvent | None = None
        self.refusal = ""
        self.key: KeyRecord | None = None
        self.request: Request | None = None
        self.model: ModelRecord | None = None
        self.price: Price | None = None
        self.estimate: Estimate | None = None
        self.lowered_limit: int | None = None
        self.hold: Hold | None = None
        self.claim: Claimed | None = None
        self.cache: CacheUse | None = None
        self.saved: tuple[int, int] | None = None
        """Tokens billed at the cache-read price, and the nanoUSD that this saved; None where unknown or nothing."""
        self.route: Route | None = None
        self.attempts: list[Attempt] = []
        self.provider_request_id = ""
        self.upstream_s = 0.0
        self.first_byte_at = 0.0
        self.started = False
        self.settled = False

    def take_claim(self, claim: Claimed) -> None:
        """An Idempotency-Key names this call: its ids come from the claim."""
        self.claim = claim
        self.id = claim.event_id
        self.hold_id = claim.hold_id
