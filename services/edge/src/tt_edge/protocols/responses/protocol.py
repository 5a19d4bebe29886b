"""OpenAI's Responses API as a client protocol."""

from typing import Final

import msgspec

from tt_common.contracts.records import Dialect
from tt_common.errors import DomainError
from tt_edge.protocols.dialects import PROVIDERS
from tt_edge.protocols.errors import error_message
from tt_edge.protocols.openai.protocol import OpenAIProtocol
from tt_edge.protocols.port import Bridge, ProtocolName, Request
from tt_edge.protocols.responses.client import ResponsesClient
from tt_edge.protocols.responses.native import NativeBridge
from tt_edge.protocols.responses.request import ResponsesRequest
from tt_edge.protocols.translate import Translated


class ResponsesProtocol(OpenAIProtocol):
    """See `ClientProtocol`; keys, headers and error bodies are those of OpenAI's chat."""

    name: ProtocolName = "openai_responses"
    dialect: Dialect = "openai_responses"

    def bridge(self, request: Request, dialect: Dialect, call_id: str) -> Bridge:
        assert isinstance(request, ResponsesRequest)
        if dialect == self.dialect:
            return NativeBridge(request)
        return Translated(self, _CLIENT, PROVIDERS[dialect], request, call_id)

    def error_event(self, error: DomainError, request_id: str) -> bytes:
        code = "server_error" if error.code == "internal_error" else error.code
        body = {"type": "error", "code": code, "message": error_message(error), "param": None, "sequence_number": 0}
        return b"event: error\ndata: %b\n\n" % msgspec.json.encode(body)


_CLIENT: Final = ResponsesClient()
RESPONSES: Final = ResponsesProtocol()
