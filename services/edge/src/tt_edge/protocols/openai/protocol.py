"""OpenAI's chat completions and embeddings as a client protocol, and the bridge to providers that speak the same."""

from typing import Final

from tt_common.contracts.records import Dialect
from tt_common.errors import DomainError
from tt_edge.clients.answers import UpstreamRequest
from tt_edge.domain.refusals import invalid_request
from tt_edge.protocols.authorization import BEARER_PLACE, bearer_key
from tt_edge.protocols.dialects import PROVIDERS
from tt_edge.protocols.exchange import Headers
from tt_edge.protocols.openai.answer import Answer, parse_answer
from tt_edge.protocols.openai.client import OpenAIClient
from tt_edge.protocols.openai.errors import error_body, error_event, refusal_body
from tt_edge.protocols.openai.request import OpenAIRequest, build
from tt_edge.protocols.openai.stream import StreamTap
from tt_edge.protocols.port import Attempted, Bridge, LimitLeft, ProtocolName, Request
from tt_edge.protocols.translate import Translated

PATHS: Final = {"chat": "/chat/completions", "embedding": "/embeddings"}


class OpenAIProtocol:
    """See `ClientProtocol`."""

    name: ProtocolName = "openai"
    dialect: Dialect = "openai"
    key_place = BEARER_PLACE
    _client = OpenAIClient()

    def key_of(self, headers: dict[bytes, bytes], query: bytes) -> str | None:
        return bearer_key(headers)

    def bridge(self, request: Request, dialect: Dialect, call_id: str) -> Bridge:
        assert isinstance(request, OpenAIRequest)
        if dialect == self.dialect:
            return OpenAIBridge(request)
        if request.kind != "chat":
            raise invalid_request(f"The model '{request.model}' makes no embeddings.", "model")
        return Translated(self, self._client, PROVIDERS[dialect], request, call_id)

    def error_body(self, error: DomainError, request_id: str) -> bytes:
        return error_body(error)

    def error_event(self, error: DomainError, request_id: str) -> bytes:
        return error_event(error)

    def error_headers(self, error: DomainError) -> Headers:
        return []

    def answer_headers(self, request_id: bytes, limits: list[LimitLeft]) -> Headers:
        return []


class OpenAIBridge:
    """OpenAI to OpenAI: see `Bridge`."""

    __slots__ = ("_request",)

    def __init__(self, request: OpenAIRequest) -> None:
        self._request = request

    def outgoing(self, attempted: Attempted) -> UpstreamRequest:
        request = self._request
        body = build(request, attempted.upstream_model, attempted.output_limit)
        return UpstreamRequest(PATHS[request.kind], body, request.forward)

    def answer(self, body: bytes) -> Answer | None:
        return parse_answer(body, self._request.kind)

    def tap(self) -> StreamTap:
        return StreamTap(self._request.model, self._request.wants_usage_chunk)

    def refusal(self, status: int, body: bytes) -> bytes:
        return refusal_body(status, body)


OPENAI: Final = OpenAIProtocol()
