"""Counting: the question to a provider, and the answer where the gateway counts itself."""

import msgspec

from tt_edge.clients.answers import UpstreamRequest
from tt_edge.protocols.gemini.paths import upstream_path
from tt_edge.protocols.gemini.request import GeminiRequest
from tt_edge.protocols.port import RawFields, Request


class _Count(msgspec.Struct):
    total: int = msgspec.field(name="totalTokens")


_count_decoder = msgspec.json.Decoder(_Count)
_fields_decoder = msgspec.json.Decoder(RawFields)


def outgoing_count(request: Request, upstream_model: str) -> UpstreamRequest:
    """The same question to a provider, under its name of the model."""
    assert isinstance(request, GeminiRequest)
    fields = dict(request.fields)
    for name in ("generateContentRequest", "generate_content_request"):
        raw = bytes(fields.get(name, b""))
        if raw[:1] == b"{":
            inner = _fields_decoder.decode(raw)
            inner["model"] = msgspec.Raw(msgspec.json.encode(f"models/{upstream_model}"))
            fields[name] = msgspec.Raw(msgspec.json.encode(inner))
    return UpstreamRequest(upstream_path(upstream_model, "countTokens"), msgspec.json.encode(fields))


def is_count(body: bytes) -> bool:
    """Whether a provider's answer says a number."""
    try:
        return _count_decoder.decode(body).total >= 0
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def count_body(tokens: int) -> bytes:
    """The answer with a count of the gateway's own."""
    return b'{"totalTokens":%d}' % tokens
