"""Count the tokens of a request: free, so no hold, no event, no limit is touched.

The provider's own count where one that speaks the client's protocol serves the model and answers; else the edge's tokenizer.
"""

import asyncio
import logging
from typing import Final

from tt_common.contracts.records import ModelRecord
from tt_common.errors import DomainError
from tt_common.ids import new_event_id
from tt_edge.clients.answers import UpstreamAnswer, UpstreamFailure, provider_fault
from tt_edge.domain.refusals import wrong_endpoint
from tt_edge.protocols.endpoints import CountEndpoint
from tt_edge.protocols.errors import error_headers, error_status
from tt_edge.protocols.exchange import ClientGone, Exchange, Headers
from tt_edge.protocols.port import Request, Target
from tt_edge.usecases.authenticate import authenticate
from tt_edge.usecases.gateway import Gateway
from tt_edge.usecases.list_models import find_model

log = logging.getLogger(__name__)

COUNT_S_MAX: Final = 10.0
"""A provider that takes longer to count is not waited for."""
COUNT_BYTES_MAX: Final = 256 * 1024


async def count_tokens(gateway: Gateway, exchange: Exchange, endpoint: CountEndpoint) -> None:
    """Answer one request to count. Never raises but for cancellation."""
    request_id = new_event_id()
    protocol = endpoint.protocol
    headers: Headers = [(b"content-type", b"application/json"), *_ids(request_id)]
    headers += protocol.answer_headers(request_id.encode(), [])
    try:
        key = await authenticate(gateway, exchange, protocol)
        body = await exchange.read_body(gateway.limits.json_body_bytes_max)
        request = endpoint.parse(Target(exchange.path, exchange.query, exchange.headers), body)
        model = find_model(gateway, key, request.model)
        if model.kind != request.kind:
            raise wrong_endpoint(model.id, model.kind, endpoint.name)
        status, answer = await _counted(gateway, endpoint, request, model, request_id)
    except ClientGone:
        return
    except DomainError as error:
        gateway.tallies.rejected(error.code)
        headers += error_headers(error) + protocol.error_headers(error)
        status, answer = error_status(error), protocol.error_body(error, request_id)
    except Exception:
        log.exception("count failed", extra={"request_id": request_id})
        broken = DomainError("internal_error", "The gateway failed to count.")
        status, answer = error_status(broken), protocol.error_body(broken, request_id)
    await exchange.respond(status, headers, answer)


def _ids(request_id: str) -> Headers:
    return [(b"x-tt-request-id", request_id.encode()), (b"x-request-id", request_id.encode())]


async def _counted(
    gateway: Gateway, endpoint: CountEndpoint, request: Request, model: ModelRecord, request_id: str
) -> tuple[int, bytes]:
    """Status and body: a provider's count or refusal, else a count of our own."""
    try:
        async with asyncio.timeout(COUNT_S_MAX):
            for route in gateway.routes.plan(model, gateway.catalog.providers):
                provider = gateway.catalog.providers[route.provider]
                if provider.dialect != endpoint.protocol.dialect or not gateway.upstream.configured(provider):
                    continue
                try:
                    out = endpoint.outgoing(request, route.upstream_model)
                    upstream = await gateway.upstream.send(provider, out, request_id)
                    body = await _read(upstream)
                except UpstreamFailure:
                    continue
                if upstream.status == 200 and endpoint.is_count(body):
                    return 200, body
                if upstream.status != 200 and not provider_fault(upstream.status):
                    bridge = endpoint.protocol.bridge(request, provider.dialect, request_id)
                    return upstream.status, bridge.refusal(upstream.status, body)
    except TimeoutError:
        log.warning("counting takes a provider too long", extra={"model": model.id})
    return 200, endpoint.rendered(request.demand.input_tokens)


async def _read(upstream: UpstreamAnswer) -> bytes:
    try:
        return await upstream.read(COUNT_BYTES_MAX)
    finally:
        upstream.close()
