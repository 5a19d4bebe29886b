"""Gemini's generateContent as a client protocol, and the bridge to providers that speak the same."""

from typing import Final
from urllib.parse import unquote_plus

from tt_common.contracts.records import Dialect
from tt_common.errors import DomainError
from tt_edge.clients.answers import UpstreamRequest
from tt_edge.protocols.authorization import bearer_key
from tt_edge.protocols.dialects import PROVIDERS
from tt_edge.protocols.exchange import Headers
from tt_edge.protocols.gemini.answer import Answer, parse_answer
from tt_edge.protocols.gemini.client import GeminiClient
from tt_edge.protocols.gemini.errors import error_body, error_event, refusal_body
from tt_edge.protocols.gemini.paths import upstream_path
from tt_edge.protocols.gemini.request import GeminiRequest, build
from tt_edge.protocols.gemini.stream import ArrayTap, StreamTap
from tt_edge.protocols.port import Attempted, Bridge, LimitLeft, ProtocolName, Request, Tap
from tt_edge.protocols.translate import Translated


class GeminiProtocol:
    """See `ClientProtocol`."""

    name: ProtocolName = "gemini"
    dialect: Dialect = "gemini"
    key_place = "the header 'x-goog-api-key: KEY'"
    _client = GeminiClient()

    def key_of(self, headers: dict[bytes, bytes], query: bytes) -> str | None:
        if key := headers.get(b"x-goog-api-key"):
            return key.decode("latin-1")
        if query:
            for pair in query.split(b"&"):
                if pair.startswith(b"key=") and len(pair) > len(b"key="):
                    return unquote_plus(pair[4:].decode("latin-1"))
        return bearer_key(headers)

    def bridge(self, request: Request, dialect: Dialect, call_id: str) -> Bridge:
        assert isinstance(request, GeminiRequest)
        if dialect == self.dialect:
            return GeminiBridge(request)
        return GeminiTranslated(self, self._client, PROVIDERS[dialect], request, call_id)

    def error_body(self, error: DomainError, request_id: str) -> bytes:
        return error_body(error)

    def error_event(self, error: DomainError, request_id: str) -> bytes:
        return error_event(error)

    def error_headers(self, error: DomainError) -> Headers:
        return []

    def answer_headers(self, request_id: bytes, limits: list[LimitLeft]) -> Headers:
        return []


class GeminiBridge:
    """Gemini to Gemini: see `Bridge`. Providers are always asked for events; an array is made of them where the client wants one."""

    __slots__ = ("_request",)

    def __init__(self, request: GeminiRequest) -> None:
        self._request = request

    def outgoing(self, attempted: Attempted) -> UpstreamRequest:
        method = "streamGenerateContent?alt=sse" if self._request.stream else "generateContent"
        body = build(self._request, attempted.upstream_model, attempted.output_limit)
        return UpstreamRequest(upstream_path(attempted.upstream_model, method), body)

    def answer(self, body: bytes) -> Answer | None:
        return parse_answer(body)

    def tap(self) -> Tap:
        return _framed(self._request, StreamTap(self._request.model))

    def refusal(self, status: int, body: bytes) -> bytes:
        return refusal_body(status, body)


class GeminiTranslated(Translated):
    """Gemini to another dialect: see `Bridge`."""

    def tap(self) -> Tap:
        assert isinstance(self._request, GeminiRequest)
        return _framed(self._request, super().tap())


def _framed(request: GeminiRequest, tap: Tap) -> Tap:
    return ArrayTap(tap) if request.array else tap


GEMINI: Final = GeminiProtocol()
