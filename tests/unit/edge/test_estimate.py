"""The hold: never less than what a call within the estimate costs; lowered to what is there, or refused."""

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.edge.samples import model, price
from tt_common.rating import LongContextTier, Price, Rates, Usage, cost_nanousd
from tt_edge.domain.estimate import AFFORDABLE_OUTPUT_TOKENS_MIN, Demand, Estimate, estimate, lowered

RATE = st.integers(0, 100_000_000_000)
RATES = st.builds(Rates, input=RATE, cache_read=RATE, cache_write_5m=RATE, cache_write_1h=RATE, output=RATE)
DEMANDS = st.builds(
    Demand,
    input_tokens=st.integers(0, 200_000),
    output_limit=st.one_of(st.none(), st.integers(1, 10_000_000)),
    choices=st.integers(1, 128),
)


def dearer(rates: Rates, percent: int) -> Rates:
    return Rates(**{name: value * percent // 100 for name, value in msgspec.structs.asdict(rates).items()})


@st.composite
def prices(draw: st.DrawFn) -> Price:
    """A price whose long-context tier, if there is one, is dearer than its base."""
    rates = draw(RATES)
    if not draw(st.booleans()):
        return price(rates)
    tier = LongContextTier(above_tokens=draw(st.integers(0, 100_000)), rates=dearer(rates, draw(st.integers(100, 300))))
    return price(rates, tier)


@given(DEMANDS, prices(), st.data())
def test_usage_within_the_estimate_costs_at_most_the_hold(demand: Demand, of: Price, data: st.DataObject) -> None:
    # given usage that stays within what was estimated, split over the input classes in any way
    size = estimate(demand, model(), of)
    left = size.input_tokens
    parts: list[int] = []
    for _ in range(3):
        parts.append(data.draw(st.integers(0, left)))
        left -= parts[-1]
    usage = Usage(
        input_tokens=left,
        cache_read_tokens=parts[0],
        cache_write_5m_tokens=parts[1],
        cache_write_1h_tokens=parts[2],
        output_tokens=data.draw(st.integers(0, size.output_tokens * size.choices)),
    )

    # then
    assert cost_nanousd(usage, of) <= size.hold_nanousd
    assert size.input_cost_nanousd <= size.hold_nanousd


@given(DEMANDS)
def test_client_integers_are_clamped_to_the_model(demand: Demand) -> None:
    size = estimate(demand, model(), price(Rates(input=1, output=1)))
    assert size.input_tokens <= model().context_window
    assert size.output_tokens <= model().max_output_tokens
    assert size.total_tokens == size.input_tokens + size.output_tokens * demand.choices


def test_without_a_limit_the_catalogs_guess_counts_and_nothing_bounds_the_stream() -> None:
    # given
    of = price(Rates(output=1_000_000))

    # then
    open_ended = estimate(Demand(input_tokens=0, output_limit=None, choices=2), model(), of)
    named = estimate(Demand(input_tokens=0, output_limit=5, choices=2), model(), of)
    whole = estimate(Demand(input_tokens=0, output_limit=None, choices=1), model(hold_output_tokens=16_384), of)
    assert (open_ended.output_tokens, open_ended.bounded, open_ended.hold_nanousd) == (1_024, False, 2_048)
    assert (named.output_tokens, named.bounded, named.hold_nanousd) == (5, True, 10)
    assert whole.bounded


def test_embeddings_have_no_output() -> None:
    size = estimate(
        Demand(input_tokens=10, output_limit=None, choices=1),
        model(kind="embedding"),
        price(Rates(input=1_000_000, output=9_000_000)),
    )
    assert (size.output_tokens, size.hold_nanousd, size.bounded) == (0, 10, True)


def test_an_embedding_call_may_need_more_than_one_context() -> None:
    # given many inputs, together longer than the model's context
    tokens = 5 * model().context_window
    demand = Demand(input_tokens=tokens, output_limit=None, choices=1)
    of = price(Rates(input=1_000_000))

    # then the hold covers all of them; a chat call has one context
    embedding = estimate(demand, model(kind="embedding"), of)
    assert (embedding.input_tokens, embedding.hold_nanousd) == (tokens, tokens)
    assert estimate(demand, model(), of).input_tokens == model().context_window


@given(DEMANDS, prices(), st.integers(0, 10**15))
def test_a_lowered_estimate_fits_what_is_available(demand: Demand, of: Price, available: int) -> None:
    # given a call that is too dear
    full = estimate(demand, model(), of)
    assume(available < full.hold_nanousd)

    # when
    cut = lowered(full, available)

    # then it fits, is still worth it, and is shorter
    if cut is not None:
        assert full.input_cost_nanousd <= cut.hold_nanousd <= available
        assert AFFORDABLE_OUTPUT_TOKENS_MIN <= cut.output_tokens < full.output_tokens
        assert (cut.input_tokens, cut.choices, cut.bounded) == (full.input_tokens, full.choices, False)
    else:
        room = available - full.input_cost_nanousd
        minimum = full.output_rate * full.choices * AFFORDABLE_OUTPUT_TOKENS_MIN
        assert room * 1_000_000 < minimum or full.output_tokens <= room * 1_000_000 // (full.output_rate * full.choices)


def of_output(tokens: int) -> Estimate:
    demand = Demand(input_tokens=100, output_limit=tokens, choices=1)
    return estimate(demand, model(), price(Rates(input=1_000_000, output=1_000_000)))


def test_the_border_is_256_tokens() -> None:
    # given a call of 100 + 1000 nanoUSD
    full = of_output(1000)

    # then 256 tokens beside the input are enough, 255 are not
    assert (cut := lowered(full, 356)) is not None
    assert cut.output_tokens == 256
    assert lowered(full, 355) is None
    assert lowered(full, 50) is None


def test_of_a_call_that_asked_for_less_nothing_is_cut() -> None:
    assert lowered(of_output(200), 250) is None
