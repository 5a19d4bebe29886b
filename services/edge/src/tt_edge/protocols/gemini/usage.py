"""Gemini's usageMetadata as disjoint token classes.

The prompt includes what was cached, a tool's own prompt stands beside it; candidates and thoughts are both output. The total decides
where they don't add up: some models leave thoughts out of the parts, others count them among the candidates.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from tt_common.rating import QUANTITY_MAX, Usage

QUERIES_MAX: Final = 1_000
TIERS: Final = {
    "ON_DEMAND": "standard",
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_FLEX": "flex",
    "PROVISIONED_THROUGHPUT": "provisioned",
}


class _Modality(msgspec.Struct):
    modality: str = ""
    tokens: int | None = msgspec.field(default=None, name="tokenCount")


class WireUsage(msgspec.Struct, rename="camel"):
    """As it stands in an answer; a later one of a stream replaces it."""

    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    total_token_count: int | None = None
    prompt_tokens_details: msgspec.Raw = msgspec.Raw()
    cache_tokens_details: msgspec.Raw = msgspec.Raw()
    candidates_tokens_details: msgspec.Raw = msgspec.Raw()
    traffic_type: str | None = None


class Grounding(msgspec.Struct):
    """The searches that Google made for a candidate, and charges for."""

    queries: list[str] | None = msgspec.field(default=None, name="webSearchQueries")


_decoder = msgspec.json.Decoder(WireUsage)
_details_decoder = msgspec.json.Decoder(list[_Modality])
_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def parse_usage(raw: msgspec.Raw | bytes) -> Usage | None:
    """Disjoint classes, or None where there is no usable figure (absent, null, negative, absurd)."""
    return parse_metered(raw)[0]


def parse_metered(raw: msgspec.Raw | bytes) -> tuple[Usage | None, str]:
    """The same with the service tier that was used, "" where it isn't said: `flex`, `priority`, as Google's requests name them."""
    try:
        wire = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None, ""
    tier = wire.traffic_type or ""
    return _usage(wire), TIERS.get(tier, tier.lower())


def with_searches(usage: Usage | None, groundings: Iterable[Grounding | None]) -> Usage | None:
    """The usage with the searches that were made for it."""
    searches = sum(len(grounding.queries or ()) for grounding in groundings if grounding is not None)
    if usage is None or not searches:
        return usage
    return msgspec.structs.replace(usage, server_tool_calls=min(searches, QUERIES_MAX))


def _usage(wire: WireUsage) -> Usage | None:
    if wire.prompt_token_count is None:
        return None
    prompt, cached = wire.prompt_token_count, wire.cached_content_token_count or 0
    candidates, thoughts = wire.candidates_token_count or 0, wire.thoughts_token_count or 0
    tools, total = wire.tool_use_prompt_token_count or 0, wire.total_token_count or 0
    audio_out = _audio(wire.candidates_tokens_details)
    audio_in = max(0, _audio(wire.prompt_tokens_details) - _audio(wire.cache_tokens_details))
    counts = (prompt, cached, candidates, thoughts, tools, total, audio_in, audio_out)
    if min(counts) < 0 or max(counts) > QUANTITY_MAX:
        return None
    cached = min(cached, prompt)
    audio_in = min(audio_in, prompt - cached)
    output = _output(total - prompt, tools, candidates, thoughts)
    audio_out = min(audio_out, output)
    return Usage(
        input_tokens=prompt - cached - audio_in + tools,
        cache_read_tokens=cached,
        audio_input_tokens=audio_in,
        output_tokens=output - audio_out,
        reasoning_tokens=min(thoughts, output - audio_out),
        audio_output_tokens=audio_out,
    )


def _output(beside_prompt: int, tools: int, candidates: int, thoughts: int) -> int:
    """Everything the model wrote. `beside_prompt` is the total without the prompt."""
    parts = candidates + thoughts
    if beside_prompt == parts + tools or beside_prompt == parts:
        return parts
    by_total = beside_prompt - tools
    return by_total if by_total >= candidates else parts


def _audio(details: msgspec.Raw) -> int:
    """Tokens of audio; most details have none, and those of every chunk of a stream pass here."""
    raw = bytes(details)
    if b"AUDIO" not in raw:
        return 0
    try:
        return sum(max(0, detail.tokens or 0) for detail in _details_decoder.decode(raw) if detail.modality == "AUDIO")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 0


def with_cost(raw_usage: bytes, cost_usd: str) -> bytes:
    """The provider's usage object with `cost` (USD, a JSON number with every decimal) added; SDKs drop what they don't know."""
    fields: dict[str, Any] = _fields_decoder.decode(raw_usage)
    fields["cost"] = msgspec.Raw(cost_usd.encode())
    return msgspec.json.encode(fields)
