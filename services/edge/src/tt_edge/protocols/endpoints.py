"""Every path of a model call: which protocol it speaks, and how its request is read."""

from collections.abc import Callable
from typing import Final

import msgspec

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
    )
}


def find_endpoint(path: str) -> Endpoint | None:
    """The endpoint that a POST to this path is meant for."""
    return ENDPOINTS.get(path)
