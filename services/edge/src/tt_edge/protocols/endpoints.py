"""Every path of a model call: which protocol it speaks, and how its request is read."""

from collections.abc import Callable
from typing import Final

import msgspec

from tt_edge.protocols.gemini.paths import is_gemini_path, names_one_model
from tt_edge.protocols.gemini.protocol import GEMINI
from tt_edge.protocols.gemini.request import parse_generate, parse_stream
from tt_edge.protocols.openai.protocol import OPENAI
from tt_edge.protocols.openai.request import parse_chat, parse_embeddings
from tt_edge.protocols.port import ClientProtocol, Request, Target


class Endpoint(msgspec.Struct, frozen=True):
    """`name` is the path as events and metrics tell it, without what differs from call to call. `parse` raises invalid_request."""

    name: str
    protocol: ClientProtocol
    parse: Callable[[Target, bytes], Request]
    operation: str
    """As traces name it (OpenTelemetry's gen_ai.operation.name)."""


ENDPOINTS: Final = {
    endpoint.name: endpoint
    for endpoint in (
        Endpoint("/v1/chat/completions", OPENAI, lambda _, body: parse_chat(body), "chat"),
        Endpoint("/v1/embeddings", OPENAI, lambda _, body: parse_embeddings(body), "embeddings"),
        Endpoint("/v1beta/models/{model}:generateContent", GEMINI, parse_generate, "generate_content"),
        Endpoint("/v1beta/models/{model}:streamGenerateContent", GEMINI, parse_stream, "generate_content"),
    )
}


def find_endpoint(path: str) -> Endpoint | None:
    """The endpoint that a POST to this path is meant for."""
    endpoint = ENDPOINTS.get(path)
    if endpoint is None and names_one_model(path):
        return ENDPOINTS.get("/v1beta/models/{model}:" + path.rpartition(":")[2])
    return endpoint


def protocol_of(path: str, headers: dict[bytes, bytes]) -> ClientProtocol:
    """Whose shape an answer has that is no model call's: by the path, else by the header that only one family of SDKs sends."""
    if is_gemini_path(path) or b"x-goog-api-key" in headers:
        return GEMINI
    return OPENAI
