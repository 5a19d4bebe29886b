"""Settle: rate what was used, journal it, publish it, give the rest of the hold back. Synchronous, so that nothing comes between.

Invariant: every call that was journaled as started is settled here exactly once, whatever happened to it.
"""

from typing import Literal

import msgspec

from tt_common.clock import monotonic_s, now_ms
from tt_common.contracts.events import Outcome, UsageEvent
from tt_common.rating import Usage, cost_nanousd
from tt_edge.domain.event_ids import uncharged_id
from tt_edge.domain.tokens import count_tokens
from tt_edge.usecases.gateway import Call, Gateway

_encode = msgspec.json.Encoder().encode
NOTHING = Usage()
TIER_CHARACTERS_MAX = 64


class Settlement(msgspec.Struct, frozen=True):
    """What a call used and costs; `flags` say what was odd."""

    usage: Usage
    source: Literal["provider", "estimated", "none"]
    cost_nanousd: int
    flags: tuple[str, ...] = ()
    service_tier: str = ""


NO_CHARGE = Settlement(NOTHING, "none", 0)


def rate_provider_usage(call: Call, usage: Usage, service_tier: str) -> Settlement:
    """The provider's own figures, in full; beyond the model's limits at most the hold, and flagged."""
    assert call.price is not None and call.model is not None and call.hold is not None and call.request is not None
    service_tier = service_tier[:TIER_CHARACTERS_MAX]
    cost = cost_nanousd(usage, call.price, service_tier)
    output_max = call.model.max_output_tokens * call.request.demand.choices
    beyond = usage.prompt_tokens > call.model.context_window and call.request.kind == "chat"
    if beyond or usage.output_tokens > output_max:
        return Settlement(
            usage, "provider", min(cost, call.hold.amount_nanousd), ("usage_beyond_limits",), service_tier
        )
    return Settlement(usage, "provider", cost, (), service_tier)


def rate_estimate(call: Call, texts: list[str], prompt: Usage | None = None) -> Settlement:
    """Where the provider gave no figure: what was delivered, counted here; never more than the hold. `prompt` is what it said of that."""
    assert call.price is not None and call.hold is not None and call.estimate is not None
    prompt = prompt or Usage(input_tokens=call.estimate.input_tokens)
    usage = msgspec.structs.replace(prompt, output_tokens=count_tokens(texts))
    return Settlement(
        usage, "estimated", min(cost_nanousd(usage, call.price), call.hold.amount_nanousd), ("usage_missing",)
    )


def settle_call(
    gateway: Gateway, call: Call, outcome: Outcome, status: int, settlement: Settlement, error_code: str = ""
) -> None:
    """Make the call's one event: journal first, then memory, then the broker."""
    assert call.key is not None and call.model is not None and call.price is not None and call.hold is not None
    assert call.request is not None
    if call.settled:
        return
    gateway.crash("before_settled")
    call.settled = True
    span = gateway.tracing.child("settle", "internal", call.trace)
    call_id = call.id
    if call.claim is not None and settlement.source == "none":
        call.id = uncharged_id(call_id)
    ended = monotonic_s()
    hold, route, journal = call.hold, call.route, gateway.journal
    event = UsageEvent(
        id=call.id,
        account_id=call.key.account_id,
        key_id=call.key.key_id,
        edge_id=journal.edge_id,
        boot_epoch=journal.boot_epoch,
        edge_seq=journal.next_seq(),
        grant_id=hold.grant.id,
        hold_id=hold.id,
        hold_nanousd=hold.amount_nanousd,
        outcome=outcome,
        status=status,
        endpoint=call.endpoint.name,
        protocol=call.endpoint.protocol.name,
        model=call.model.id,
        provider=route.provider if route is not None else "",
        upstream_model=route.upstream_model if route is not None else "",
        stream=call.request.stream,
        usage=settlement.usage,
        usage_source=settlement.source,
        service_tier=settlement.service_tier,
        price_version=call.price.version,
        cost_nanousd=settlement.cost_nanousd,
        started_at_ms=call.started_at_ms,
        finished_at_ms=now_ms(),
        first_byte_ms=int((call.first_byte_at - call.started_at) * 1000) if call.first_byte_at else 0,
        overhead_ms=overhead_ms(call, call.first_byte_at or ended),
        attempts=tuple(call.attempts),
        flags=settlement.flags,
        error_code=error_code,
        provider_request_id=call.provider_request_id,
        traceparent=call.traceparent,
    )
    entry = journal.settled(event, _encode(event), call_id)
    gateway.crash("after_settled")
    gateway.credit.settle(hold, settlement.cost_nanousd, settlement.usage.total_tokens)
    gateway.publisher.publish(entry)
    gateway.tallies.settled(event)
    call.event = event
    if span is not None:
        span.end()


def overhead_ms(call: Call, until: float) -> float:
    """Milliseconds from the call's arrival to `until` that were not spent waiting for a provider."""
    return round(max(0.0, until - call.started_at - call.upstream_s) * 1000, 3)
