"""Gemini's generateContent as the provider's side of a translation."""

import msgspec

from tt_edge.clients.answers import UpstreamRequest
from tt_edge.protocols.canonical.answer import ChatAnswer
from tt_edge.protocols.canonical.request import ChatRequest
from tt_edge.protocols.errors import refusal_message
from tt_edge.protocols.gemini.outgoing import outgoing_body
from tt_edge.protocols.gemini.paths import upstream_path
from tt_edge.protocols.gemini.reader import GeminiReader, read_answer
from tt_edge.protocols.port import Attempted


class GeminiProvider:
    """See `ProviderSide`."""

    def outgoing(self, asked: ChatRequest, attempted: Attempted) -> UpstreamRequest:
        method = "streamGenerateContent?alt=sse" if asked.stream else "generateContent"
        body = outgoing_body(asked, attempted.upstream_model, attempted.output_limit)
        return UpstreamRequest(upstream_path(attempted.upstream_model, method), msgspec.json.encode(body))

    def answer(self, body: bytes, asked: ChatRequest) -> ChatAnswer | None:
        return read_answer(body)

    def reader(self, asked: ChatRequest) -> GeminiReader:
        return GeminiReader()

    def refusal_message(self, status: int, body: bytes) -> str:
        return refusal_message(status, body)
