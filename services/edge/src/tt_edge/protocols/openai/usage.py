"""OpenAI usage objects as disjoint token classes. Prompt counts include cached and cache-write tokens; output includes reasoning."""

from typing import Any

import msgspec

from tt_common.rating import QUANTITY_MAX, Usage


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class _WireUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


_decoder = msgspec.json.Decoder(_WireUsage)


def parse_usage(raw: msgspec.Raw | bytes) -> Usage | None:
    """Disjoint classes, or None where there is no usable figure (absent, null, negative, absurd)."""
    try:
        wire = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if wire.prompt_tokens is None:
        return None
    prompt = wire.prompt_tokens_details or _PromptDetails()
    completion = wire.completion_tokens_details or _CompletionDetails()
    cached, written, audio_in = prompt.cached_tokens or 0, prompt.cache_write_tokens or 0, prompt.audio_tokens or 0
    output, audio_out = wire.completion_tokens or 0, completion.audio_tokens or 0
    counts = (wire.prompt_tokens, cached, written, audio_in, output, audio_out, completion.reasoning_tokens or 0)
    if any(count < 0 or count > QUANTITY_MAX for count in counts):
        return None
    left = wire.prompt_tokens
    cached = min(cached, left)
    written = min(written, left - cached)
    audio_in = min(audio_in, left - cached - written)
    return Usage(
        input_tokens=left - cached - written - audio_in,
        cache_read_tokens=cached,
        cache_write_5m_tokens=written,
        audio_input_tokens=audio_in,
        output_tokens=max(0, output - audio_out),
        reasoning_tokens=completion.reasoning_tokens or 0,
        audio_output_tokens=audio_out,
    )


def as_cached(raw_usage: msgspec.Raw) -> msgspec.Raw:
    """The provider's usage object saying that the whole prompt was read from a cache."""
    fields: dict[str, Any] = msgspec.json.decode(raw_usage, type=dict[str, msgspec.Raw])
    details: dict[str, Any] = {}
    if bytes(fields.get("prompt_tokens_details", b""))[:1] == b"{":
        details = msgspec.json.decode(fields["prompt_tokens_details"], type=dict[str, msgspec.Raw])
    details["cached_tokens"] = fields["prompt_tokens"]
    fields["prompt_tokens_details"] = details
    return msgspec.Raw(msgspec.json.encode(fields))
