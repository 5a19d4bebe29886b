"""How much a call may cost: what its hold promises. The hold only sizes the promise; real usage settles in full.

Client integers are clamped before any arithmetic.
"""

from typing import Final

import msgspec

from tt_common.contracts.records import ModelRecord
from tt_common.money import TOKENS_PER_PRICE_UNIT, divide_half_up
from tt_common.rating import Price, rates_for

AFFORDABLE_OUTPUT_TOKENS_MIN: Final = 256
"""A call whose output had to be cut below this is refused instead."""


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What the client asks for, as far as money goes. `output_limit` is the client's own limit for one choice, if it named one."""

    input_tokens: int
    output_limit: int | None
    choices: int


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A sized hold. `bounded` says that the provider itself stops at `output_tokens` (for each choice)."""

    input_tokens: int
    output_tokens: int
    choices: int
    input_cost_nanousd: int
    hold_nanousd: int
    output_rate: int
    bounded: bool

    @property
    def total_tokens(self) -> int:
        """What a tokens-per-minute limit is asked for."""
        return self.input_tokens + self.output_tokens * self.choices


def estimate(demand: Demand, model: ModelRecord, price: Price) -> Estimate:
    """The worst case: input at its dearest class, output to the client's limit, or to the catalog's where it named none."""
    # An embedding call may carry many inputs, each with a context of its own.
    input_tokens = demand.input_tokens if model.kind == "embedding" else min(demand.input_tokens, model.context_window)
    rates = rates_for(price, input_tokens)
    input_rate = max(rates.input, rates.cache_read, rates.cache_write_5m, rates.cache_write_1h)
    if model.kind == "embedding":
        output_tokens, bounded = 0, True
    elif demand.output_limit is not None:
        output_tokens, bounded = min(demand.output_limit, model.max_output_tokens), True
    else:
        output_tokens = min(model.hold_output_tokens, model.max_output_tokens)
        bounded = output_tokens >= model.max_output_tokens
    return _sized(input_tokens, output_tokens, demand.choices, input_rate, rates.output, bounded)


def lowered(full: Estimate, available_nanousd: int) -> Estimate | None:
    """The estimate cut to what is available, or None where fewer than 256 tokens of output would be left of a longer one.

    Of a call that asked for less than 256 nothing is cut.
    """
    room = available_nanousd - full.input_cost_nanousd
    if room <= 0 or full.output_rate <= 0 or not full.output_tokens:
        return None
    affordable = room * TOKENS_PER_PRICE_UNIT // (full.output_rate * full.choices)
    if affordable < AFFORDABLE_OUTPUT_TOKENS_MIN or affordable >= full.output_tokens:
        return None
    input_rate = full.input_cost_nanousd * TOKENS_PER_PRICE_UNIT // full.input_tokens if full.input_tokens else 0
    cut = _sized(full.input_tokens, affordable, full.choices, input_rate, full.output_rate, bounded=False)
    return msgspec.structs.replace(
        cut, hold_nanousd=min(cut.hold_nanousd, available_nanousd), input_cost_nanousd=full.input_cost_nanousd
    )


def output_cost_nanousd(full: Estimate, tokens: int) -> int:
    """What `tokens` of output cost at the estimate's rate."""
    return divide_half_up(tokens * full.output_rate, TOKENS_PER_PRICE_UNIT)


def _sized(
    input_tokens: int, output_tokens: int, choices: int, input_rate: int, output_rate: int, bounded: bool
) -> Estimate:
    input_numerator = input_tokens * input_rate
    total_numerator = input_numerator + output_tokens * choices * output_rate
    return Estimate(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        choices=choices,
        input_cost_nanousd=divide_half_up(input_numerator, TOKENS_PER_PRICE_UNIT),
        hold_nanousd=divide_half_up(total_numerator, TOKENS_PER_PRICE_UNIT),
        output_rate=output_rate,
        bounded=bounded,
    )
