"""Reserve what the call may cost. Where the wallet can't cover the worst case, the output limit is lowered to what it can."""

from tt_common.errors import DomainError
from tt_edge.credit.grants import Need
from tt_edge.domain.estimate import estimate, lowered, output_cost_nanousd
from tt_edge.domain.refusals import billing_unavailable
from tt_edge.protocols.port import Tap
from tt_edge.usecases.gateway import Call, Gateway

EXTENSION_TOKENS_MIN = 256
LAST_EXTENSION_TOKENS = 64


async def reserve_credit(gateway: Gateway, call: Call) -> None:
    """Sets `call.estimate`, `call.hold` and, for a whole answer that was cut, `call.lowered_limit`.

    Raises billing_shortfall, api_key_quota_exceeded, rate_limit_exceeded, billing_unavailable.
    """
    assert call.key is not None and call.request is not None and call.model is not None and call.price is not None
    _check_unsettled(gateway)
    full = estimate(call.request.demand, call.model, call.price)
    call.estimate = full
    try:
        need = Need(full.hold_nanousd, full.total_tokens)
        call.hold = await gateway.credit.reserve(call.key, call.hold_id, need, call.trace)
    except DomainError as error:
        if error.code not in ("billing_shortfall", "api_key_quota_exceeded"):
            raise
        cut = lowered(full, _available_nanousd(error))
        if cut is None:
            raise
        need = Need(cut.hold_nanousd, cut.total_tokens)
        call.hold = await gateway.credit.reserve(call.key, call.hold_id, need, call.trace)
        call.estimate = cut
        if not call.request.stream:
            call.lowered_limit = cut.output_tokens


async def reserve_exactly(gateway: Gateway, call: Call, cost_nanousd: int, tokens: int) -> None:
    """Sets `call.hold` for a call whose cost is known before it begins. Raises as `reserve_credit` does."""
    assert call.key is not None
    _check_unsettled(gateway)
    call.hold = await gateway.credit.reserve(call.key, call.hold_id, Need(cost_nanousd, tokens), call.trace)


def _check_unsettled(gateway: Gateway) -> None:
    if gateway.journal.unsettled_nanousd > gateway.limits.unsettled_nanousd_max:
        raise billing_unavailable()


async def keep_covered(gateway: Gateway, call: Call, tap: Tap) -> None:
    """Let a stream go on: extends the hold where what was delivered outgrows it, roughly counted and then exactly.

    Raises billing_shortfall, api_key_quota_exceeded or billing_unavailable where it can't be: then the stream is cut.
    """
    size = call.estimate
    assert size is not None and call.hold is not None
    if size.bounded or size.output_rate == 0:
        return
    covered = (call.hold.amount_nanousd - size.input_cost_nanousd) * 1_000_000 // size.output_rate
    if tap.output_estimate <= covered or tap.recount() <= covered:
        return
    step = max(size.output_tokens // 2, EXTENSION_TOKENS_MIN) * size.choices
    try:
        await gateway.credit.extend(call.hold, output_cost_nanousd(size, step))
    except DomainError as error:
        if error.code == "billing_unavailable":
            raise
        await gateway.credit.extend(call.hold, output_cost_nanousd(size, LAST_EXTENSION_TOKENS))


def _available_nanousd(error: DomainError) -> int:
    name = "available_nanousd" if error.code == "billing_shortfall" else "remaining_nanousd"
    return int(error.data.get(name, 0))
