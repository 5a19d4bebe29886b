"""Counting tokens in Anthropic's words: the question passes through, the answer has one field."""

import msgspec

from tt_edge.clients.answers import UpstreamRequest
from tt_edge.protocols.anthropic.request import AnthropicRequest, build
from tt_edge.protocols.port import Request


class _Count(msgspec.Struct):
    input_tokens: int


_decoder = msgspec.json.Decoder(_Count)


def outgoing_count(request: Request, upstream_model: str) -> UpstreamRequest:
    """The same question to a provider."""
    assert isinstance(request, AnthropicRequest)
    body = build(request, upstream_model, None)
    return UpstreamRequest("/messages/count_tokens" + request.query, body, request.forward)


def is_count(body: bytes) -> bool:
    """Whether a provider's answer is a count."""
    try:
        _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def count_body(tokens: int) -> bytes:
    """The answer with a count of our own."""
    return msgspec.json.encode({"input_tokens": tokens})
