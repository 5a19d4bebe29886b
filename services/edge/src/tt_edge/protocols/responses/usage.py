"""Usage objects of the Responses API as disjoint token classes, and back. Input counts include what was cached or written to a cache."""

from typing import Any

import msgspec

from tt_common.rating import QUANTITY_MAX, Usage


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _WireUsage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _Item(msgspec.Struct):
    type: str = ""


_usage_decoder = msgspec.json.Decoder(_WireUsage)
_items_decoder = msgspec.json.Decoder(list[_Item])
SERVER_TOOLS = frozenset({"web_search_call", "file_search_call"})
"""Items that the vendor charges by the call."""


def parse_usage(raw: bytes, raw_output: bytes = b"[]") -> Usage | None:
    """Disjoint classes, or None where there is no usable figure (absent, null, negative, absurd)."""
    try:
        wire = _usage_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if wire.input_tokens is None:
        return None
    details = wire.input_tokens_details or _InputDetails()
    cached, written = details.cached_tokens or 0, details.cache_write_tokens or 0
    reasoning = (wire.output_tokens_details or _OutputDetails()).reasoning_tokens or 0
    output = wire.output_tokens or 0
    if any(count < 0 or count > QUANTITY_MAX for count in (wire.input_tokens, cached, written, output, reasoning)):
        return None
    cached = min(cached, wire.input_tokens)
    written = min(written, wire.input_tokens - cached)
    return Usage(
        input_tokens=wire.input_tokens - cached - written,
        cache_read_tokens=cached,
        cache_write_5m_tokens=written,
        output_tokens=output,
        reasoning_tokens=reasoning,
        server_tool_calls=_server_tool_calls(raw_output),
    )


def _server_tool_calls(raw_output: bytes) -> int:
    try:
        return sum(item.type in SERVER_TOOLS for item in _items_decoder.decode(raw_output))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 0


def usage_of(usage: Usage, cost_usd: str) -> dict[str, Any]:
    """The vendor's usage object, with the cost."""
    written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    output = usage.output_tokens + usage.audio_output_tokens
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cache_read_tokens, "cache_write_tokens": written},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + output,
        "cost": msgspec.Raw(cost_usd.encode()),
    }
