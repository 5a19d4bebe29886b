"""What the use cases know of protocols: a client protocol reads requests and says errors, a bridge leads to a provider's dialect and back.

Where client and provider speak the same, the bridge passes bytes through and changes only what it must; else it goes by the canonical form.
"""

from typing import Literal, Protocol

import msgspec

from tt_common.contracts.records import Dialect, ModelKind
from tt_common.errors import DomainError
from tt_common.rating import Usage
from tt_edge.clients.answers import UpstreamRequest
from tt_edge.domain.estimate import Demand
from tt_edge.protocols.exchange import Headers

RawFields = dict[str, msgspec.Raw]
ProtocolName = Literal["openai", "openai_responses", "anthropic", "gemini"]
"""As usage events name the client's protocol."""
EVENT_STREAM = b"text/event-stream; charset=utf-8"


class Target(msgspec.Struct, frozen=True):
    """Where a request goes beside its body: the path below the base URL, the raw query, the client's headers."""

    path: str
    query: bytes
    headers: dict[bytes, bytes]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request, read as far as the gateway must. `fields` is its body as raw JSON values: what is not read passes through untouched.

    `forward`: request headers that a provider of the same dialect gets too.
    """

    kind: ModelKind
    model: str
    stream: bool
    demand: Demand
    fields: RawFields
    stream_content_type: bytes = EVENT_STREAM
    """b"" for the provider's own."""
    forward: tuple[tuple[str, str], ...] = ()


class Attempted(msgspec.Struct, frozen=True):
    """What an attempt at a provider is made with. `output_limit` is the lowered limit where the wallet asked for one,
    `output_limit_max` the model's own."""

    upstream_model: str
    output_limit: int | None
    output_limit_max: int


class LimitLeft(msgspec.Struct, frozen=True):
    """What is left of one limit of the key, and the seconds until it is whole again."""

    kind: Literal["requests", "tokens"]
    limit: int
    left: int
    reset_s: float


class WholeAnswer(Protocol):
    """A provider's answer to a request without a stream. `usage` is None where it had no usable figure."""

    @property
    def usage(self) -> Usage | None: ...

    @property
    def service_tier(self) -> str:
        """As the provider named it; "" where it did not."""
        ...

    def texts(self) -> list[str]:
        """Everything the model wrote, for counting where the provider reported no usage."""
        ...

    def rendered(self, model: str, cost_usd: str) -> bytes:
        """The client's body, naming the model that was asked for and the cost."""
        ...


class Tap(Protocol):
    """A stream on its way through. `feed` takes the provider's bytes and gives the client's; any split of the bytes gives the same.

    `complete`: the provider's terminal event came; `failed`: it sent an error, which was passed on. The last events are held back
    for `tail`, so that the call can be settled before its last byte leaves. `texts` is what was delivered, `output_estimate`
    roughly its tokens. Raises FrameTooLarge.
    """

    @property
    def usage(self) -> Usage | None: ...

    @property
    def service_tier(self) -> str: ...

    @property
    def prompt(self) -> Usage | None:
        """What a provider that counts the prompt at the beginning said of it; with `texts` the best figure where `usage` never came."""
        ...

    @property
    def texts(self) -> list[str]: ...

    @property
    def output_estimate(self) -> int: ...

    @property
    def complete(self) -> bool: ...

    @property
    def failed(self) -> bool: ...

    def feed(self, data: bytes) -> bytes: ...

    def end(self) -> bytes:
        """The provider closed the stream; what there is still to pass on."""
        ...

    def tail(self, cost_usd: str) -> bytes: ...

    def broken(self, error_event: bytes) -> bytes:
        """Instead of `tail`: the protocol's error event, in the frame that this stream is read in. Empty where it has no words
        for an error: then the connection breaks off."""
        ...

    def recount(self) -> int:
        """The delivered tokens, counted by the tokenizer; the rough count goes on from there."""
        ...


class Bridge(Protocol):
    """One request of one client protocol, to one dialect."""

    def outgoing(self, attempted: Attempted) -> UpstreamRequest:
        """The provider's request. Raises invalid_request naming the client's field that the dialect has no words for."""
        ...

    def answer(self, body: bytes) -> WholeAnswer | None:
        """None where the body is no answer: then another provider may be tried."""
        ...

    def tap(self) -> Tap: ...

    def refusal(self, status: int, body: bytes) -> bytes:
        """A provider's own refusal (400, 404, 413, 422) in the client's form, its message intact."""
        ...


class ClientProtocol(Protocol):
    """How one family of SDKs speaks to the edge."""

    name: ProtocolName
    dialect: Dialect
    """Of the providers whose bodies pass through."""
    key_place: str
    """Where a request carries its key, as an error says it: the header 'Authorization: Bearer KEY'."""

    def key_of(self, headers: dict[bytes, bytes], query: bytes) -> str | None:
        """The caller's API key, wherever this protocol's SDKs put it; None where there is none. Raises invalid_api_key."""
        ...

    def bridge(self, request: Request, dialect: Dialect, call_id: str) -> Bridge: ...

    def error_body(self, error: DomainError, request_id: str) -> bytes: ...

    def error_event(self, error: DomainError, request_id: str) -> bytes:
        """The same within a stream that has begun; the stream ends after it."""
        ...

    def error_headers(self, error: DomainError) -> Headers:
        """Those of this protocol alone, beside Retry-After and x-should-retry."""
        ...

    def answer_headers(self, request_id: bytes, limits: list[LimitLeft]) -> Headers:
        """Those of this protocol alone, beside the x-tt-*, x-request-id and x-ratelimit-* of every answer."""
        ...
