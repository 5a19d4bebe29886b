"""Reach a provider that answers: routes in order, failover until the first byte. Failed attempts are listed, never billed."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from tt_common.clock import monotonic_s
from tt_common.contracts.events import Attempt
from tt_common.contracts.records import Dialect, ProviderRecord, Route
from tt_common.errors import DomainError
from tt_common.telemetry.tracing import Attribute
from tt_edge.clients.answers import UpstreamAnswer, UpstreamFailure, provider_fault
from tt_edge.domain.refusals import all_providers_unavailable, upstream_error, upstream_timeout
from tt_edge.protocols.exchange import Exchange
from tt_edge.protocols.port import Attempted, Bridge, WholeAnswer
from tt_edge.usecases.gateway import Call, Gateway
from tt_edge.usecases.settle_call import NO_CHARGE, settle_call

ERROR_BODY_BYTES_MAX = 256 * 1024


class Reached(msgspec.Struct, frozen=True):
    """A provider's answer: a stream with its first bytes, a whole `answer`, or the provider's own refusal in `body`."""

    status: int
    content_type: str
    body: bytes
    answer: WholeAnswer | None
    upstream: UpstreamAnswer
    bridge: Bridge
    is_stream: bool = False


Reading = Callable[[Gateway, Call, Bridge, UpstreamAnswer], Awaitable[Reached]]
"""Tells what an answer is whose head has come. Raises UpstreamFailure: then the next route may take the call."""


async def reach_patiently(
    gateway: Gateway, exchange: Exchange, call: Call, read: Reading | None = None
) -> Reached | None:
    """The provider's answer; None where the client left and the drain is over: then nothing was produced, nothing is charged."""
    try:
        async with asyncio.timeout(None) as limit:
            exchange.be_patient(limit, gateway.limits.drain_s)
            return await reach_provider(gateway, call, read or read_answer)
    except TimeoutError:
        settle_call(gateway, call, "client_disconnected", 499, NO_CHARGE)
        return None
    finally:
        exchange.at_ease()


async def reach_provider(gateway: Gateway, call: Call, read: Reading) -> Reached:
    """Sets `call.route`. Raises upstream_error, upstream_timeout or all_providers_unavailable when no route answered."""
    assert call.model is not None and call.request is not None
    last: UpstreamFailure | None = None
    for route in gateway.routes.plan(call.model, gateway.catalog.providers):
        provider = gateway.catalog.providers[route.provider]
        if not gateway.upstream.configured(provider):
            continue
        for _ in range(2):
            try:
                return await _try(gateway, call, route, provider, read)
            except UpstreamFailure as failure:
                last = failure
                if failure.kind != "stale":
                    break
    raise _refusal(gateway, call, last)


async def _try(gateway: Gateway, call: Call, route: Route, provider: ProviderRecord, read: Reading) -> Reached:
    breaker = gateway.routes.breaker(route)
    began = monotonic_s()
    breaker.begin(began)
    upstream: UpstreamAnswer | None = None
    call.route = route
    span = gateway.tracing.child(f"POST {provider.id}", "client", call.trace, _served_by(route))
    traceparent = span.traceparent if span is not None else call.traceparent
    fault = "cancelled"
    try:
        assert call.request is not None and call.model is not None
        bridge = call.endpoint.protocol.bridge(call.request, _spoken(provider, call), call.id)
        out = bridge.outgoing(Attempted(route.upstream_model, call.lowered_limit, call.model.max_output_tokens))
        upstream = await gateway.upstream.send(provider, out, call.id, traceparent)
        reached = await read(gateway, call, bridge, upstream)
        fault, call.provider_request_id = "", upstream.request_id
    except UpstreamFailure as failure:
        fault = failure.kind
        ended = monotonic_s()
        breaker.failed(ended)
        status = 0
        if upstream is not None:
            status = upstream.status
            upstream.close()
        call.attempts.append(
            Attempt(provider=provider.id, error=failure.kind, status=status, duration_ms=int((ended - began) * 1000))
        )
        raise
    except asyncio.CancelledError:
        breaker.abandoned()
        if upstream is not None:
            upstream.close()
        raise
    finally:
        call.upstream_s += monotonic_s() - began
        if span is not None:
            span.attributes["http.response.status_code"] = upstream.status if upstream is not None else 0
            span.end(fault)
    breaker.succeeded()
    return reached


def _spoken(provider: ProviderRecord, call: Call) -> Dialect:
    if provider.responses and call.endpoint.protocol.dialect == "openai_responses":
        return "openai_responses"
    return provider.dialect


def _served_by(route: Route) -> dict[str, Attribute]:
    return {"gen_ai.provider.name": route.provider, "gen_ai.request.model": route.upstream_model}


async def read_answer(gateway: Gateway, call: Call, bridge: Bridge, upstream: UpstreamAnswer) -> Reached:
    """The first bytes of a stream, or the whole of anything else; a failure here may still go to the next route."""
    assert call.request is not None
    if upstream.status != 200:
        return await read_refusal(bridge, upstream)
    if call.request.stream:
        if upstream.content_type.startswith("application/json"):
            upstream.close()
            raise UpstreamFailure("broken", "JSON where a stream was asked for")
        return await start_stream(call, bridge, upstream)
    body = await upstream.read(gateway.limits.answer_bytes_max)
    answer = bridge.answer(body)
    if answer is None:
        raise UpstreamFailure("broken", "not an answer")
    call.first_byte_at = monotonic_s()
    return Reached(200, "application/json", body, answer, upstream, bridge)


async def start_stream(call: Call, bridge: Bridge, upstream: UpstreamAnswer) -> Reached:
    """A stream with its first bytes. Raises UpstreamFailure where there are none."""
    first = await upstream.next_chunk()
    if not first:
        raise UpstreamFailure("broken", "an empty stream")
    call.first_byte_at = monotonic_s()
    return Reached(200, upstream.content_type, first, None, upstream, bridge, is_stream=True)


async def read_refusal(bridge: Bridge, upstream: UpstreamAnswer) -> Reached:
    """What a provider says that refuses the request itself. Raises UpstreamFailure where the fault is its own."""
    body = await upstream.read(ERROR_BODY_BYTES_MAX)
    if provider_fault(upstream.status):
        raise UpstreamFailure("status", str(upstream.status))
    body = bridge.refusal(upstream.status, body)
    return Reached(upstream.status, "application/json", body, None, upstream, bridge)


def _refusal(gateway: Gateway, call: Call, last: UpstreamFailure | None) -> DomainError:
    assert call.model is not None
    if last is None or last.kind == "status":
        return all_providers_unavailable(gateway.routes.retry_after_s(call.model))
    if last.kind == "timeout":
        return upstream_timeout()
    if last.kind == "broken":
        return upstream_error("The provider's answer was unusable, and no other provider could take the call.")
    return upstream_error("The provider could not be reached, and no other provider could take the call.")
