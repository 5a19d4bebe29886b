"""One call, from its first byte to its usage event. This is the hot path; it reads top to bottom.

Cheap refusals stand first. Every call that was admitted ends in exactly one named outcome and one event; every hold ends.
"""

import asyncio
import logging
from typing import Final

import msgspec

from tt_common.errors import DomainError
from tt_common.money import format_usd
from tt_edge.domain.admission import check_model
from tt_edge.domain.refusals import all_providers_unavailable, model_not_found, wrong_endpoint
from tt_edge.domain.savings import saved_nanousd
from tt_edge.journal.segment import Started
from tt_edge.protocols.endpoints import Endpoint
from tt_edge.protocols.errors import error_headers, error_status
from tt_edge.protocols.exchange import ClientGone, Exchange
from tt_edge.protocols.port import Target
from tt_edge.usecases.answer_kept import answer_kept, find_kept, keep_for_later
from tt_edge.usecases.authenticate import authenticate
from tt_edge.usecases.finish_idempotent import begin_idempotent, end_uncharged, keep_answer
from tt_edge.usecases.gateway import Call, Gateway
from tt_edge.usecases.headers import call_headers, refused_limit_headers
from tt_edge.usecases.reach_provider import Reached, reach_provider
from tt_edge.usecases.relay_stream import relay_stream
from tt_edge.usecases.reserve_credit import reserve_credit, reserve_exactly
from tt_edge.usecases.settle_call import NO_CHARGE, rate_estimate, rate_provider_usage, settle_call
from tt_edge.usecases.trace_call import begin_trace, end_trace

log = logging.getLogger(__name__)

JSON: Final = b"application/json"


async def relay_call(gateway: Gateway, exchange: Exchange, endpoint: Endpoint) -> None:
    """Answer one request to an endpoint. Never raises but for cancellation."""
    call = Call(endpoint)
    try:
        call.key = await authenticate(gateway, exchange, endpoint.protocol)
        begin_trace(gateway, exchange, call)
        body = await exchange.read_body(gateway.limits.json_body_bytes_max)
        call.request = endpoint.parse(Target(exchange.path, exchange.query, exchange.headers), body)
        _resolve_model(gateway, call)
        dry_run = exchange.headers.get(b"x-tt-dry-run", b"").lower() == b"true"
        if not dry_run and not await begin_idempotent(gateway, exchange, call, body):
            return
        hit = None
        if (call.key.cache or b"x-tt-cache" in exchange.headers) and not dry_run:
            hit = await find_kept(gateway, exchange, call)
        if hit is None:
            await reserve_credit(gateway, call)
        else:
            await reserve_exactly(gateway, call, hit.cost_nanousd, hit.usage.total_tokens)
        if dry_run:
            await _answer_dry_run(gateway, exchange, call)
            return
        _journal_start(gateway, call)
        if hit is not None:
            await answer_kept(gateway, exchange, call, hit)
            return
        if call.claim is None:
            exchange.watch_disconnect()
        reached = await _reach(gateway, exchange, call)
        if reached is None:
            return
        if reached.is_stream:
            await relay_stream(gateway, exchange, call, reached)
        else:
            await _answer_whole(gateway, exchange, call, reached)
    except DomainError as error:
        await _refuse(gateway, exchange, call, error)
    except ClientGone:
        log.debug("client left before its request was whole")
    except Exception:
        log.exception("call failed", extra={"request_id": call.id})
        await _refuse(gateway, exchange, call, DomainError("internal_error", "The gateway failed to handle this call."))
    finally:
        exchange.end()
        _end(gateway, call)
        end_trace(gateway, call)


def _resolve_model(gateway: Gateway, call: Call) -> None:
    """Sets model and price, from memory. Raises model_not_found, model_not_allowed, or invalid_request for the wrong endpoint."""
    assert call.key is not None and call.request is not None
    name = call.request.model
    model = gateway.catalog.model(name)
    price = gateway.catalog.price(name, call.started_at_ms)
    check_model(call.key, name)
    if model is None or price is None:
        if not gateway.catalog.mirror.loaded:
            raise DomainError(
                "not_ready", "This gateway has not loaded its catalog yet; please retry.", retry_after_s=1
            )
        raise model_not_found(name)
    if model.kind != call.request.kind:
        raise wrong_endpoint(name, model.kind, call.endpoint.name)
    call.model, call.price = model, price


def _journal_start(gateway: Gateway, call: Call) -> None:
    """From here on the call will be exactly one event. Raises journal_unavailable: then nothing is called."""
    assert call.key is not None and call.model is not None and call.price is not None and call.hold is not None
    assert call.request is not None
    gateway.journal.started(
        Started(
            id=call.id,
            account_id=call.key.account_id,
            key_id=call.key.key_id,
            grant_id=call.hold.grant.id,
            hold_id=call.hold.id,
            hold_nanousd=call.hold.amount_nanousd,
            model=call.model.id,
            endpoint=call.endpoint.name,
            protocol=call.endpoint.protocol.name,
            stream=call.request.stream,
            started_at_ms=call.started_at_ms,
            price_version=call.price.version,
            traceparent=call.traceparent,
        )
    )
    call.started = True
    gateway.crash("after_started")


async def _reach(gateway: Gateway, exchange: Exchange, call: Call) -> Reached | None:
    """The provider's answer; None where the client left and the drain is over: then nothing was produced, nothing is charged."""
    try:
        async with asyncio.timeout(None) as limit:
            exchange.be_patient(limit, gateway.limits.drain_s)
            return await reach_provider(gateway, call)
    except TimeoutError:
        settle_call(gateway, call, "client_disconnected", 499, NO_CHARGE)
        return None
    finally:
        exchange.at_ease()


async def _answer_whole(gateway: Gateway, exchange: Exchange, call: Call, reached: Reached) -> None:
    """Settle, then send: the first byte of a whole answer leaves after the journal has its event."""
    assert call.request is not None and call.price is not None
    answer = reached.answer
    if answer is None:
        body = reached.body
        settle_call(gateway, call, "failed", reached.status, NO_CHARGE, "provider_refused")
    else:
        used = answer.usage
        settlement = (
            rate_estimate(call, answer.texts())
            if used is None
            else rate_provider_usage(call, used, answer.service_tier)
        )
        body = answer.rendered(call.request.model, format_usd(settlement.cost_nanousd))
        settle_call(gateway, call, "client_disconnected" if exchange.gone else "succeeded", 200, settlement)
        if settlement.usage.cache_read_tokens:
            saved = saved_nanousd(settlement.usage, settlement.cost_nanousd, call.price)
            call.saved = (settlement.usage.cache_read_tokens, saved)
        if call.cache is not None and settlement.source == "provider" and not settlement.flags:
            keep_for_later(gateway, call, reached.body)
    headers = call_headers(call, reached.content_type.encode("latin-1"))
    if call.claim is not None:
        exchange.kept_head = (reached.status, headers)
        exchange.keep(body)
        await keep_answer(gateway, exchange, call)
    await exchange.respond(reached.status, headers, body)


async def _answer_dry_run(gateway: Gateway, exchange: Exchange, call: Call) -> None:
    """Everything but the call: the hold is placed and released, nothing is charged."""
    assert call.hold is not None and call.model is not None and call.price is not None and call.estimate is not None
    routes = gateway.routes.plan(call.model, gateway.catalog.providers)
    if not routes:
        raise all_providers_unavailable(gateway.routes.retry_after_s(call.model))
    hold, headers = call.hold, call_headers(call, JSON)
    call.hold = None
    gateway.credit.release(hold)
    body = {
        "object": "dry_run",
        "model": call.model.id,
        "provider": routes[0].provider,
        "estimate": {
            "input_tokens": call.estimate.input_tokens,
            "output_tokens": call.estimate.output_tokens * call.estimate.choices,
            "cost_usd": format_usd(call.estimate.hold_nanousd),
            "price_version": call.price.version,
        },
        "hold": {"id": hold.id, "amount_usd": format_usd(hold.amount_nanousd), "released": True},
        "balance_usd": format_usd(hold.grant.available_nanousd + hold.grant.free_nanousd),
    }
    await exchange.respond(200, headers, msgspec.json.encode(body))


async def _refuse(gateway: Gateway, exchange: Exchange, call: Call, error: DomainError) -> None:
    """The error in the protocol's shape; a call that was admitted becomes its event first."""
    status = error_status(error)
    call.refusal = error.code
    if not call.started:
        gateway.tallies.rejected(error.code)
    elif not call.settled:
        settle_call(gateway, call, "failed", status, NO_CHARGE, error.code)
    if call.settled and call.claim is not None and call.id == call.claim.event_id:
        await _keep_error(gateway, exchange, call, error)
    await end_uncharged(gateway, call)
    if status >= 500:
        log.warning("call refused", extra={"request_id": call.id, "code": error.code, "attempts": len(call.attempts)})
    if exchange.head_sent:
        return
    protocol = call.endpoint.protocol
    headers = call_headers(call, JSON) + error_headers(error) + protocol.error_headers(error)
    if call.key is not None:
        headers += refused_limit_headers(protocol, call.key, error)
    await exchange.respond(status, headers, protocol.error_body(error, call.id))


async def _keep_error(gateway: Gateway, exchange: Exchange, call: Call, error: DomainError) -> None:
    """The call was charged and its answer is lost: a retry must not be charged again, it gets the same error."""
    body = call.endpoint.protocol.error_body(error, call.id)
    exchange.kept_head, exchange.kept = (error_status(error), call_headers(call, JSON)), [body]
    await keep_answer(gateway, exchange, call)


def _end(gateway: Gateway, call: Call) -> None:
    """Whatever happened: a started call has its event, a hold without a call is given back."""
    if call.started and not call.settled:
        settle_call(gateway, call, "failed", 500, NO_CHARGE, "aborted")
    elif call.hold is not None and not call.started:
        gateway.credit.release(call.hold)
        call.hold = None
