"""How a call ends that has no answer: the error to the client, its event, its hold. Shared by every way to relay."""

import logging
from typing import Final

from tt_common.errors import DomainError
from tt_edge.protocols.errors import error_headers, error_status
from tt_edge.protocols.exchange import Exchange
from tt_edge.usecases.finish_idempotent import end_uncharged, keep_answer
from tt_edge.usecases.gateway import Call, Gateway
from tt_edge.usecases.headers import call_headers, refused_limit_headers
from tt_edge.usecases.settle_call import NO_CHARGE, settle_call

log = logging.getLogger(__name__)

JSON: Final = b"application/json"


async def refuse_call(gateway: Gateway, exchange: Exchange, call: Call, error: DomainError) -> None:
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


def end_call(gateway: Gateway, call: Call) -> None:
    """Whatever happened: a started call has its event, a hold without a call is given back."""
    if call.started and not call.settled:
        settle_call(gateway, call, "failed", 500, NO_CHARGE, "aborted")
    elif call.hold is not None and not call.started:
        gateway.credit.release(call.hold)
        call.hold = None
