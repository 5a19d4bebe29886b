"""Anthropic's messages as a client protocol, and the bridge to providers that speak the same."""

from typing import Final

from tt_common.clock import now_ms, rfc3339
from tt_common.contracts.records import Dialect
from tt_common.errors import DomainError
from tt_edge.clients.answers import UpstreamRequest
from tt_edge.protocols.anthropic.answer import Answer, parse_answer
from tt_edge.protocols.anthropic.client import AnthropicClient
from tt_edge.protocols.anthropic.errors import error_body, error_event, refusal_body
from tt_edge.protocols.anthropic.request import AnthropicRequest, build
from tt_edge.protocols.anthropic.stream import StreamTap
from tt_edge.protocols.authorization import bearer_key
from tt_edge.protocols.dialects import PROVIDERS
from tt_edge.protocols.exchange import Headers
from tt_edge.protocols.port import Attempted, Bridge, LimitLeft, ProtocolName, Request
from tt_edge.protocols.translate import Translated

MS_PER_S: Final = 1000


class AnthropicProtocol:
    """See `ClientProtocol`."""

    name: ProtocolName = "anthropic"
    dialect: Dialect = "anthropic"
    key_place = "the header 'x-api-key: KEY' or 'Authorization: Bearer KEY'"

    _client = AnthropicClient()

    def key_of(self, headers: dict[bytes, bytes], query: bytes) -> str | None:
        """An empty x-api-key is a setting that was switched off."""
        return headers.get(b"x-api-key", b"").decode("latin-1") or bearer_key(headers)

    def bridge(self, request: Request, dialect: Dialect, call_id: str) -> Bridge:
        assert isinstance(request, AnthropicRequest)
        if dialect == self.dialect:
            return AnthropicBridge(request, call_id)
        return Translated(self, self._client, PROVIDERS[dialect], request, call_id)

    def error_body(self, error: DomainError, request_id: str) -> bytes:
        return error_body(error, request_id)

    def error_event(self, error: DomainError, request_id: str) -> bytes:
        return error_event(error, request_id)

    def error_headers(self, error: DomainError) -> Headers:
        return []

    def answer_headers(self, request_id: bytes, limits: list[LimitLeft]) -> Headers:
        headers: Headers = [(b"request-id", request_id)] if request_id else []
        for limit in limits:
            name = b"anthropic-ratelimit-" + limit.kind.encode()
            whole_at = rfc3339(now_ms() + round(limit.reset_s * MS_PER_S))
            headers += [
                (name + b"-limit", str(limit.limit).encode()),
                (name + b"-remaining", str(limit.left).encode()),
                (name + b"-reset", whole_at.encode()),
            ]
        return headers


class AnthropicBridge:
    """Anthropic to Anthropic: see `Bridge`."""

    __slots__ = ("_call_id", "_request")

    def __init__(self, request: AnthropicRequest, call_id: str) -> None:
        self._request = request
        self._call_id = call_id

    def outgoing(self, attempted: Attempted) -> UpstreamRequest:
        request = self._request
        body = build(request, attempted.upstream_model, attempted.output_limit)
        return UpstreamRequest("/messages" + request.query, body, request.forward)

    def answer(self, body: bytes) -> Answer | None:
        return parse_answer(body, hour_cache=self._request.hour_cache)

    def tap(self) -> StreamTap:
        return StreamTap(self._request.model, hour_cache=self._request.hour_cache)

    def refusal(self, status: int, body: bytes) -> bytes:
        return refusal_body(status, body, self._call_id)


ANTHROPIC: Final = AnthropicProtocol()
