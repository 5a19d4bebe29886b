"""One call for images or audio, from its first byte to its usage event: as `relay_call`, but billed by what its price counts.

An upload lies in a spool, never whole in memory, and is gone with the call. The response cache has no part in this.
"""

import logging

from tt_common.clock import monotonic_s
from tt_common.errors import DomainError
from tt_common.money import format_usd
from tt_edge.clients.answers import UpstreamAnswer, UpstreamFailure
from tt_edge.clients.spool import Spool
from tt_edge.domain.media import media_estimate
from tt_edge.domain.refusals import invalid_request
from tt_edge.protocols.endpoints import MediaEndpoint
from tt_edge.protocols.exchange import ClientGone, Exchange
from tt_edge.protocols.openai.media.protocol import MediaBridge
from tt_edge.protocols.openai.media.request import MediaRequest
from tt_edge.protocols.port import Bridge
from tt_edge.usecases.admit_call import journal_start, resolve_model
from tt_edge.usecases.answer_dry_run import answer_dry_run, is_dry_run
from tt_edge.usecases.authenticate import authenticate
from tt_edge.usecases.finish_idempotent import begin_idempotent, keep_answer
from tt_edge.usecases.gateway import Call, Gateway
from tt_edge.usecases.headers import call_headers
from tt_edge.usecases.rate_media import NOTHING, rate_media, rate_media_stream
from tt_edge.usecases.reach_provider import Reached, reach_patiently, read_refusal, start_stream
from tt_edge.usecases.read_upload import read_upload
from tt_edge.usecases.refuse_call import end_call, refuse_call
from tt_edge.usecases.relay_stream import relay_stream
from tt_edge.usecases.reserve_credit import reserve_exactly
from tt_edge.usecases.settle_call import NO_CHARGE, settle_call
from tt_edge.usecases.trace_call import begin_trace, end_trace

log = logging.getLogger(__name__)

FORM = b"multipart/form-data"


async def relay_media(gateway: Gateway, exchange: Exchange, endpoint: MediaEndpoint) -> None:
    """Answer one request to an endpoint. Never raises but for cancellation."""
    call = Call(endpoint)
    spool = Spool(gateway.spools)
    try:
        call.key = await authenticate(gateway, exchange, endpoint.protocol)
        begin_trace(gateway, exchange, call)
        call.request, identity = await _read_request(gateway, exchange, endpoint, spool)
        resolve_model(gateway, call)
        dry_run = is_dry_run(exchange)
        if not dry_run and not await begin_idempotent(gateway, exchange, call, identity):
            return
        await _reserve(gateway, call, call.request)
        if dry_run:
            await answer_dry_run(gateway, exchange, call)
            return
        journal_start(gateway, call)
        if call.claim is None:
            exchange.watch_disconnect()
        reached = await reach_patiently(gateway, exchange, call, _read)
        if reached is None:
            return
        if reached.is_stream:
            await relay_stream(gateway, exchange, call, reached, rate_media_stream)
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
        spool.close()
        exchange.end()
        end_call(gateway, call)
        end_trace(gateway, call)


async def _read_request(
    gateway: Gateway, exchange: Exchange, endpoint: MediaEndpoint, spool: Spool
) -> tuple[MediaRequest, bytes]:
    """The request, and what an Idempotency-Key stands for. A form where there is one, else JSON."""
    is_form = exchange.headers.get(b"content-type", b"").lower().startswith(FORM)
    if endpoint.parse_form is not None and (is_form or endpoint.parse_json is None):
        upload, identity = await read_upload(exchange, spool, gateway.limits.form_bytes_max)
        return endpoint.parse_form(upload), identity
    if is_form or endpoint.parse_json is None:
        raise invalid_request(f"{endpoint.name} takes JSON, not a form.")
    body = await exchange.read_body(gateway.limits.json_body_bytes_max)
    return endpoint.parse_json(body), body


async def _reserve(gateway: Gateway, call: Call, request: MediaRequest) -> None:
    assert call.price is not None
    call.estimate = media_estimate(request.kind, request.asked, call.price)
    await reserve_exactly(gateway, call, call.estimate.hold_nanousd, call.estimate.total_tokens)


async def _read(gateway: Gateway, call: Call, bridge: Bridge, upstream: UpstreamAnswer) -> Reached:
    """What flows is told by the answer's own type: a model may answer whole although a stream was asked for."""
    assert isinstance(bridge, MediaBridge)
    if upstream.status != 200:
        return await read_refusal(bridge, upstream)
    if bridge.flows(upstream.content_type):
        return await start_stream(call, bridge, upstream)
    body = await upstream.read(gateway.limits.answer_bytes_max)
    answer = bridge.answer(body)
    if answer is None:
        raise UpstreamFailure("broken", "not an answer")
    call.first_byte_at = monotonic_s()
    return Reached(200, upstream.content_type, body, answer, upstream, bridge)


async def _answer_whole(gateway: Gateway, exchange: Exchange, call: Call, reached: Reached) -> None:
    """Settle, then send: the first byte of a whole answer leaves after the journal has its event."""
    assert call.request is not None
    answer = reached.answer
    if answer is None:
        body = reached.body
        settle_call(gateway, call, "failed", reached.status, NO_CHARGE, "provider_refused")
    else:
        settlement = rate_media(call, answer.usage or NOTHING, answer.texts(), answer.service_tier)
        body = answer.rendered(call.request.model, format_usd(settlement.cost_nanousd))
        settle_call(gateway, call, "client_disconnected" if exchange.gone else "succeeded", 200, settlement)
    headers = call_headers(call, reached.content_type.encode("latin-1"))
    if call.claim is not None:
        exchange.kept_head = (reached.status, headers)
        exchange.keep(body)
        await keep_answer(gateway, exchange, call)
    await exchange.respond(reached.status, headers, body)
