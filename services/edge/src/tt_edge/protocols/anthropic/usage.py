"""Anthropic usage objects as disjoint token classes. Input counts neither cache reads nor writes; output includes thinking.

In a stream the object comes twice: what message_start says stays where message_delta says nothing, and is replaced where it does.
"""

import re
from typing import Final

import msgspec

from tt_common.rating import QUANTITY_MAX, Usage

HOUR_MARK: Final = re.compile(rb'"ttl"\s*:\s*"1h"')
"""A request that writes to a cache of an hour. Within a JSON string its quotes would be escaped."""

FAST: Final = "fast"


class _CacheCreation(msgspec.Struct):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    thinking_tokens: int | None = None


class _ServerTools(msgspec.Struct):
    web_search_requests: int | None = None


class WireUsage(msgspec.Struct):
    """The counts of a usage object; what it didn't say is None."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens_details: _OutputDetails | None = None
    server_tool_use: _ServerTools | None = None
    service_tier: str | None = None
    speed: str | None = None

    @property
    def tier(self) -> str:
        """What the price may depend on beside the tokens: `fast` mode, else the tier that served the call."""
        return self.speed if self.speed == FAST else self.service_tier or ""


_decoder = msgspec.json.Decoder(WireUsage)


def read_usage(raw: msgspec.Raw | bytes) -> WireUsage | None:
    """None where there is no usage object, or none that can be read."""
    if bytes(raw)[:1] != b"{":
        return None
    try:
        return _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def later(before: WireUsage | None, now: WireUsage) -> WireUsage:
    """Both together: counts are cumulative, so a later one replaces an earlier one and is never added to it."""
    if before is None:
        return now
    said = {name: value for name in now.__struct_fields__ if (value := getattr(now, name)) is not None}
    return msgspec.structs.replace(before, **said)


def prompt_of(wire: WireUsage, *, hour_cache: bool) -> Usage | None:
    """The classes of the prompt alone, as message_start has them."""
    return usage_of(msgspec.structs.replace(wire, output_tokens=0, output_tokens_details=None), hour_cache=hour_cache)


def usage_of(wire: WireUsage, *, hour_cache: bool) -> Usage | None:
    """Disjoint classes, or None where there is no usable figure (absent, negative, absurd).

    `hour_cache`: the request marked something for an hour; cache writes of which no kind is told are then priced as such.
    """
    if wire.input_tokens is None or wire.output_tokens is None:
        return None
    split = wire.cache_creation or _CacheCreation()
    hour = split.ephemeral_1h_input_tokens or 0
    short = split.ephemeral_5m_input_tokens or 0
    thought = (wire.output_tokens_details or _OutputDetails()).thinking_tokens or 0
    searches = (wire.server_tool_use or _ServerTools()).web_search_requests or 0
    written = wire.cache_creation_input_tokens
    if written is None:
        written = hour + short
    read = wire.cache_read_input_tokens or 0
    counts = (wire.input_tokens, wire.output_tokens, read, written, hour, short, thought, searches)
    if any(count < 0 or count > QUANTITY_MAX for count in counts):
        return None
    hour, short = min(hour, written), min(short, written - min(hour, written))
    untold = written - hour - short
    return Usage(
        input_tokens=wire.input_tokens,
        cache_read_tokens=read,
        cache_write_5m_tokens=short + (0 if hour_cache else untold),
        cache_write_1h_tokens=hour + (untold if hour_cache else 0),
        output_tokens=wire.output_tokens,
        reasoning_tokens=min(thought, wire.output_tokens),
        server_tool_calls=searches,
    )
