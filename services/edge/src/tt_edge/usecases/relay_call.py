"""One call, from its first byte to its usage event. This is the hot path; it reads top to bottom.

Cheap refusals stand first. Every call that was admitted ends in exactly one named outcome and one event; every hold ends.
"""

import logging
from typing import Final

from tt_common.errors import DomainError
from tt_common.money import format_usd
from tt_edge.domain.savings import saved_nanousd
from tt_edge.protocols.endpoints import Endpoint
from tt_edge.protocols.exchange import ClientGone, Exchange
from tt_edge.protocols.port import Target
from tt_edge.usecases.admit_call import journal_start, resolve_model
from tt_edge.usecases.answer_dry_run import answer_dry_run, is_dry_run
from tt_edge.usecases.answer_kept import answer_kept, find_kept, keep_for_later
from tt_edge.usecases.authenticate import authenticate
from tt_edge.usecases.finish_idempotent import begin_idempotent, keep_answer
from tt_edge.usecases.gateway import Call, Gateway
from tt_edge.usecases.headers import call_headers
from tt_edge.usecases.reach_provider import Reached, reach_patiently
from tt_edge.usecases.refuse_call import end_call, refuse_call
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
        resolve_model(gateway, call)
        dry_run = is_dry_run(exchange)
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
            await answer_dry_run(gateway, exchange, call)
            return
        journal_start(gateway, call)
        if hit is not None:
            await answer_kept(gateway, exchange, call, hit)
            return
        if call.claim is None:
            exchange.watch_disconnect()
        reached = await reach_patiently(gateway, exchange, call)
        if reached is None:
            return
        if reached.is_stream:
            await relay_stream(gateway, exchange, call, reached)
        else:
            await _answer_whole(gateway, exchange, call, reached)
    except DomainError as error:
        await refuse_call(gateway, exchange, call, error)
    except ClientGone:
        log.debug("client left before its request was whole")
    except Exception:
        log.exception("call failed", extra={"request_id": call.id})
        await refuse_call(
            gateway, exchange, call, DomainError("internal_error", "The gateway failed to handle this call.")
        )
    finally:
        exchange.end()
        end_call(gateway, call)
        end_trace(gateway, call)


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
