"""One span for a call, with what its usage event says; made when the call is over, and only where it is sampled.

Never tells who called with what: ids of the call, the hold and the grant, the model, counts and money.
"""

from typing import Final

from tt_common.telemetry.tracing import Attribute
from tt_edge.protocols.exchange import Exchange
from tt_edge.usecases.gateway import Call, Gateway

NS_PER_MS: Final = 1_000_000


def begin_trace(gateway: Gateway, exchange: Exchange, call: Call) -> None:
    """Go on with the caller's trace or begin one; sets `call.trace` and `call.traceparent` where there is one."""
    trace = gateway.tracing.begin(exchange.header(b"traceparent"))
    if trace is not None:
        call.trace, call.traceparent = trace, trace.traceparent


def end_trace(gateway: Gateway, call: Call) -> None:
    """The call is answered."""
    if call.trace is None or not call.trace.sampled:
        return
    operation = call.endpoint.operation
    model = call.model.id if call.model is not None else ""
    started_ns = call.started_at_ms * NS_PER_MS
    span = gateway.tracing.span(f"{operation} {model}".strip(), "server", call.trace, started_ns, _known(call))
    if span is None:
        return
    event = call.event
    if event is None:
        span.end(call.refusal)
        return
    span.attributes |= _settled(call)
    span.end(event.error_code or ("" if event.outcome == "succeeded" else event.outcome))


def _known(call: Call) -> dict[str, Attribute]:
    known: dict[str, Attribute] = {
        "gen_ai.operation.name": call.endpoint.operation,
        "url.path": call.endpoint.name,
        "tokentally.request_id": call.id,
    }
    if call.model is not None:
        known["gen_ai.request.model"] = call.model.id
    if call.hold is not None:
        known["tokentally.hold_id"] = call.hold.id
        known["tokentally.grant_id"] = call.hold.grant.id
    return known


def _settled(call: Call) -> dict[str, Attribute]:
    event = call.event
    assert event is not None
    usage = event.usage
    return {
        "gen_ai.provider.name": event.provider,
        "gen_ai.response.model": event.upstream_model,
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
        "http.response.status_code": event.status,
        "tokentally.outcome": event.outcome,
        "tokentally.hold_nanousd": event.hold_nanousd,
        "tokentally.cost_nanousd": event.cost_nanousd,
        "tokentally.price_version": event.price_version,
        "tokentally.usage_source": event.usage_source,
        "tokentally.overhead_ms": event.overhead_ms,
        "tokentally.first_byte_ms": event.first_byte_ms,
        "tokentally.stream": event.stream,
        "tokentally.edge_id": event.edge_id,
        "tokentally.edge_seq": event.edge_seq,
    }
