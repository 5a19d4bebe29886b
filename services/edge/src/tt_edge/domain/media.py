"""Images and audio: how much a request asks for, and what a call used in the classes that its price is made of. Pure.

The price decides: images, seconds or characters where it has a rate for them, else tokens. Missing usage is never nothing.
"""

from typing import Final, Literal

import msgspec

from tt_common.contracts.records import ModelKind
from tt_common.rating import Price, Rates, Usage, cost_nanousd
from tt_edge.domain.estimate import Estimate

IMAGE_OUTPUT_TOKENS: Final = {"low": 408, "medium": 1_584}
IMAGE_OUTPUT_TOKENS_MAX: Final = 6_240
"""The vendor's table for gpt-image-1, the larger sizes; `high`, `auto` and what is not known count as the most."""
PARTIAL_IMAGE_TOKENS: Final = 100
AUDIO_TOKENS_PER_SECOND: Final = 10
"""What vendors count for speech that is heard."""
WRITTEN_TOKENS_PER_SECOND: Final = 5
"""A fast speaker, written down."""
SPOKEN_TOKENS_PER_2_CHARACTERS: Final = 3
"""About twenty tokens a second, fourteen characters a second."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks for, as far as money goes. Counts of at least 0."""

    input_tokens: int = 0
    image_input_tokens: int = 0
    """Of its pictures, by a guess."""
    images: int = 0
    tokens_an_image: int = 0
    seconds: int = 0
    """How long the upload lasts, as well as it is known."""
    seconds_max: int = 0
    """The longest that an upload of its size is likely to last."""
    measured: bool = False
    """Whether `seconds` was read from the file's own header."""
    characters: int = 0


class Used(msgspec.Struct, frozen=True):
    """What a call used; `flags` as usage events have them."""

    usage: Usage
    source: Literal["provider", "estimated"]
    flags: tuple[str, ...] = ()


def media_estimate(kind: ModelKind, asked: Asked, price: Price) -> Estimate:
    """What a hold promises. Real usage settles in full."""
    usage = _assumed(kind, asked, price.rates, asked.images, asked.seconds_max)
    return Estimate(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.output_tokens + usage.audio_output_tokens,
        choices=1,
        input_cost_nanousd=0,
        hold_nanousd=cost_nanousd(usage, price),
        output_rate=0,
        bounded=True,
    )


def media_used(kind: ModelKind, asked: Asked, rates: Rates, said: Usage, written_tokens: int) -> Used:
    """`said` is what the provider's answer tells: its token counts or seconds, and the images in it."""
    if kind == "image" and rates.image:
        return Used(Usage(images=said.images), "provider")
    if kind == "speech" and rates.character:
        return Used(Usage(characters=asked.characters), "provider")
    if kind == "transcription" and rates.second:
        if said.seconds:
            return Used(Usage(seconds=said.seconds), "provider")
        flag = "audio_measured" if asked.measured else "usage_missing"
        return Used(Usage(seconds=asked.seconds), "estimated", (flag,))
    if said.total_tokens:
        return Used(said, "provider")
    assumed = _assumed(kind, asked, rates, said.images, said.seconds or asked.seconds)
    if kind == "transcription":
        assumed = msgspec.structs.replace(assumed, output_tokens=written_tokens)
    return Used(assumed, "estimated", ("usage_missing",))


def _assumed(kind: ModelKind, asked: Asked, rates: Rates, images: int, seconds: int) -> Usage:
    if kind == "image":
        if rates.image:
            return Usage(images=images)
        output = images * asked.tokens_an_image
        return Usage(
            input_tokens=asked.input_tokens,
            image_input_tokens=asked.image_input_tokens,
            output_tokens=output,
            images=images,
        )
    if kind == "speech":
        if rates.character:
            return Usage(characters=asked.characters)
        spoken = asked.characters * SPOKEN_TOKENS_PER_2_CHARACTERS // 2 + 1
        return Usage(input_tokens=asked.input_tokens, audio_output_tokens=spoken)
    if rates.second:
        return Usage(seconds=seconds)
    return Usage(
        input_tokens=asked.input_tokens,
        audio_input_tokens=seconds * AUDIO_TOKENS_PER_SECOND,
        output_tokens=seconds * WRITTEN_TOKENS_PER_SECOND,
    )
