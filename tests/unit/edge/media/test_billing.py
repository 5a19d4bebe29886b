"""What a call for images or audio used, by what its price counts; missing usage is never nothing."""

import pytest

from tests.unit.edge.samples import price
from tt_common.contracts.records import ModelKind
from tt_common.rating import Rates, Usage, cost_nanousd
from tt_edge.domain.media import Asked, Used, media_estimate, media_used

ASKED = Asked(
    input_tokens=20, images=2, tokens_an_image=1_000, seconds=10, seconds_max=80, measured=True, characters=100
)
TOKENS = Rates(input=1_000_000, output=2_000_000, audio_input=3_000_000, audio_output=4_000_000)
IMAGE, SECOND, CHARACTER = Rates(image=7), Rates(second=7), Rates(character=7)
SAID_TOKENS = Usage(input_tokens=5, output_tokens=6)


@pytest.mark.parametrize(
    ("kind", "rates", "said", "used"),
    [
        ("image", IMAGE, Usage(images=1, output_tokens=9), Used(Usage(images=1), "provider")),
        ("image", TOKENS, Usage(images=1, output_tokens=9), Used(Usage(images=1, output_tokens=9), "provider")),
        (
            "image",
            TOKENS,
            Usage(images=1),
            Used(Usage(images=1, input_tokens=20, output_tokens=1_000), "estimated", ("usage_missing",)),
        ),
        ("transcription", SECOND, Usage(seconds=12), Used(Usage(seconds=12), "provider")),
        ("transcription", SECOND, SAID_TOKENS, Used(Usage(seconds=10), "estimated", ("audio_measured",))),
        ("transcription", TOKENS, SAID_TOKENS, Used(SAID_TOKENS, "provider")),
        (
            "transcription",
            TOKENS,
            Usage(seconds=12),
            Used(Usage(input_tokens=20, audio_input_tokens=120, output_tokens=8), "estimated", ("usage_missing",)),
        ),
        ("speech", CHARACTER, Usage(), Used(Usage(characters=100), "provider")),
        ("speech", TOKENS, Usage(audio_output_tokens=9), Used(Usage(audio_output_tokens=9), "provider")),
        (
            "speech",
            TOKENS,
            Usage(),
            Used(Usage(input_tokens=20, audio_output_tokens=151), "estimated", ("usage_missing",)),
        ),
    ],
)
def test_the_price_decides_what_is_counted(kind: ModelKind, rates: Rates, said: Usage, used: Used) -> None:
    assert media_used(kind, ASKED, rates, said, written_tokens=8) == used


@pytest.mark.parametrize("kind", ["image", "transcription", "speech"])
@pytest.mark.parametrize("rates", [IMAGE, SECOND, CHARACTER, TOKENS])
def test_a_hold_covers_what_is_charged_where_the_provider_says_nothing(kind: ModelKind, rates: Rates) -> None:
    hold = media_estimate(kind, ASKED, price(rates))

    used = media_used(kind, ASKED, rates, Usage(images=2), written_tokens=50)

    assert cost_nanousd(used.usage, price(rates)) <= hold.hold_nanousd
    assert hold.bounded
