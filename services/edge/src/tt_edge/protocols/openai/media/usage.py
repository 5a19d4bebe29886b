"""What answers with images or audio tell of their use, as disjoint classes. A figure that is absurd is none."""

import math
from typing import Any

import msgspec

from tt_common.contracts.records import ModelKind
from tt_common.rating import QUANTITY_MAX, Usage


class _Details(msgspec.Struct):
    cached_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _WireUsage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _Details | None = None
    input_token_details: _Details | None = None
    seconds: float | None = None


_decoder = msgspec.json.Decoder(_WireUsage)
NOTHING = Usage()


def parse_media_usage(raw: bytes, kind: ModelKind) -> Usage:
    """Tokens or seconds, without any where there is no usable figure. Begun seconds count."""
    try:
        wire = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return NOTHING
    if wire.seconds is not None:
        return Usage(seconds=begun_seconds(wire.seconds))
    details = wire.input_tokens_details or wire.input_token_details or _Details()
    prompt, output = wire.input_tokens or 0, wire.output_tokens or 0
    cached, audio, image = details.cached_tokens or 0, details.audio_tokens or 0, details.image_tokens or 0
    if any(count < 0 or count > QUANTITY_MAX for count in (prompt, output, cached, audio, image)):
        return NOTHING
    cached = min(cached, prompt)
    audio = min(audio, prompt - cached)
    image = min(image, prompt - cached - audio)
    if kind == "speech":
        return Usage(input_tokens=prompt - cached, cache_read_tokens=cached, audio_output_tokens=output)
    return Usage(
        input_tokens=prompt - cached - audio - image,
        cache_read_tokens=cached,
        audio_input_tokens=audio,
        image_input_tokens=image,
        output_tokens=output,
    )


def begun_seconds(seconds: Any) -> int:
    """Whole seconds, rounded up; 0 for what is no length."""
    if not isinstance(seconds, int | float) or not 0 < seconds <= QUANTITY_MAX:
        return 0
    return math.ceil(seconds)


def together(one: Usage, other: Usage) -> Usage:
    """The sum, class by class."""
    return Usage(**{name: getattr(one, name) + getattr(other, name) for name in Usage.__struct_fields__})
