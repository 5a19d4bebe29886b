"""Rating against a slow, obvious re-computation with fractions."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tt_common.rating import (
    QUANTITY_MAX,
    LongContextTier,
    Price,
    Rates,
    ServiceTier,
    Usage,
    cost_nanousd,
    price_in_force,
    rates_for,
    receipt_lines,
)

COUNTS = st.one_of(st.integers(0, 3000), st.integers(0, QUANTITY_MAX))
RATES = st.builds(
    Rates,
    **{
        name: st.integers(0, 10**11)
        for name in (
            "input",
            "cache_read",
            "cache_write_5m",
            "cache_write_1h",
            "output",
            "audio_input",
            "audio_output",
            "image_input",
            "image",
            "server_tool_call",
            "second",
            "character",
        )
    },
)
USAGES = st.builds(
    Usage,
    input_tokens=COUNTS,
    cache_read_tokens=COUNTS,
    cache_write_5m_tokens=COUNTS,
    cache_write_1h_tokens=COUNTS,
    output_tokens=COUNTS,
    reasoning_tokens=COUNTS,
    audio_input_tokens=COUNTS,
    audio_output_tokens=COUNTS,
    image_input_tokens=COUNTS,
    images=st.integers(0, 100),
    server_tool_calls=st.integers(0, 100),
    seconds=COUNTS,
    characters=COUNTS,
)
TIERS = st.lists(st.builds(LongContextTier, above_tokens=st.integers(0, 5000), rates=RATES), max_size=3).map(tuple)


def price(
    rates: Rates,
    tiers: tuple[LongContextTier, ...] = (),
    number: int = 1,
    starts_at_ms: int = 0,
    model: str = "m",
    service_tiers: tuple[ServiceTier, ...] = (),
) -> Price:
    return Price(
        version=f"{model}@{number}",
        model=model,
        number=number,
        rates=rates,
        starts_at_ms=starts_at_ms,
        created_at_ms=0,
        long_context=tiers,
        service_tiers=service_tiers,
    )


SERVED = st.sampled_from(["", "flex", "priority", "new"])
SERVICE_TIERS = st.dictionaries(st.sampled_from(["flex", "priority"]), st.integers(0, 300)).map(
    lambda percents: tuple(ServiceTier(name=name, percent=percent) for name, percent in percents.items())
)
PRICES = st.builds(price, RATES, TIERS, service_tiers=SERVICE_TIERS)


def slow_cost(usage: Usage, of: Price, service_tier: str = "") -> int:
    """Class by class in exact fractions; the tier by looking at all of them."""
    prompt = sum(
        (
            usage.input_tokens,
            usage.cache_read_tokens,
            usage.cache_write_5m_tokens,
            usage.cache_write_1h_tokens,
            usage.audio_input_tokens,
            usage.image_input_tokens,
        )
    )
    rates = of.rates
    for tier in sorted(of.long_context, key=lambda tier: -tier.above_tokens):
        if prompt > tier.above_tokens:
            rates = next(t.rates for t in of.long_context if t.above_tokens == tier.above_tokens)
            break
    total = Fraction(usage.images * rates.image + usage.server_tool_calls * rates.server_tool_call)
    total += usage.seconds * rates.second + usage.characters * rates.character
    for name in (
        "input",
        "cache_read",
        "cache_write_5m",
        "cache_write_1h",
        "output",
        "audio_input",
        "audio_output",
        "image_input",
    ):
        total += Fraction(getattr(usage, f"{name}_tokens") * getattr(rates, name), 1_000_000)
    for tier in of.service_tiers:
        if tier.name == service_tier:
            total *= Fraction(tier.percent, 100)
    return (total + Fraction(1, 2)).__floor__()


@given(USAGES, PRICES, SERVED)
def test_the_cost_equals_an_obvious_recomputation(usage: Usage, of: Price, tier: str) -> None:
    assert cost_nanousd(usage, of, tier) == slow_cost(usage, of, tier)


@given(USAGES, PRICES, SERVED)
def test_receipt_lines_add_up_to_the_cost(usage: Usage, of: Price, tier: str) -> None:
    lines = receipt_lines(usage, of, tier)
    total = sum((Fraction(line.quantity * line.unit_price_nanousd, line.per) for line in lines), Fraction())
    assert (total + Fraction(1, 2)).__floor__() == cost_nanousd(usage, of, tier)
    assert all(line.quantity for line in lines)


def test_reasoning_is_inside_output_and_costs_nothing_on_top() -> None:
    of = price(Rates(output=1_000_000))
    assert (
        cost_nanousd(Usage(output_tokens=10, reasoning_tokens=10), of)
        == cost_nanousd(Usage(output_tokens=10), of)
        == 10
    )


def test_a_long_prompt_pays_its_tier_for_everything_and_cached_tokens_count() -> None:
    # given two tiers, the higher one listed first
    of = price(
        Rates(input=1_000_000, output=1_000_000, cache_read=0),
        (
            LongContextTier(above_tokens=200, rates=Rates(input=3_000_000, output=3_000_000)),
            LongContextTier(above_tokens=100, rates=Rates(input=2_000_000, output=2_000_000)),
        ),
    )

    # then exactly 100 is still the base, one more is not, and cached input is counted
    assert cost_nanousd(Usage(input_tokens=100, output_tokens=1), of) == 101
    assert cost_nanousd(Usage(input_tokens=1, cache_read_tokens=100, output_tokens=1), of) == 4
    assert cost_nanousd(Usage(input_tokens=201), of) == 603
    assert rates_for(of, 200).input == 2_000_000


def test_a_half_nanousd_is_rounded_up_once_not_per_class() -> None:
    # given two classes of 0.5 nanoUSD each
    of = price(Rates(input=500_000, output=500_000))

    # then together they are 1, not 2
    assert cost_nanousd(Usage(input_tokens=1, output_tokens=1), of) == 1
    assert cost_nanousd(Usage(input_tokens=1), of) == 1


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), max_size=8), st.integers(0, 25))
def test_the_price_in_force_started_last(starts: list[tuple[int, int]], at_ms: int) -> None:
    # given versions with any starts
    versions = tuple(price(Rates(), number=number, starts_at_ms=start) for start, number in starts)

    # when
    found = price_in_force(versions, at_ms)

    # then none that started is later; of those that started together the newest counts
    started = [(version.starts_at_ms, version.number) for version in versions if version.starts_at_ms <= at_ms]
    assert (found is None) == (not started)
    assert found is None or (found.starts_at_ms, found.number) == max(started)
