"""Relay a stream: bytes out as they come in, the usage tapped, the hold extended where it is outgrown, cut where it can't be.

The call is settled after the provider's last byte and before the client's.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from tt_common.contracts.events import Outcome
from tt_common.errors import DomainError
from tt_common.money import format_usd
from tt_edge.clients.answers import UpstreamAnswer, UpstreamFailure
from tt_edge.domain.refusals import upstream_error, upstream_timeout
from tt_edge.protocols.exchange import Exchange
from tt_edge.protocols.port import Tap
from tt_edge.protocols.sse import FrameTooLarge
from tt_edge.usecases.answer_kept import keep_for_later
from tt_edge.usecases.finish_idempotent import end_uncharged, keep_answer
from tt_edge.usecases.gateway import Call, Gateway
from tt_edge.usecases.headers import call_headers
from tt_edge.usecases.reach_provider import Reached
from tt_edge.usecases.reserve_credit import keep_covered
from tt_edge.usecases.settle_call import NO_CHARGE, Settlement, rate_estimate, rate_provider_usage, settle_call

CUT_OFF: Final = {
    "billing_shortfall": "Your balance is used up; the answer was cut off here.",
    "api_key_quota_exceeded": "This key's monthly limit is reached; the answer was cut off here.",
    "billing_unavailable": "No more credit can be reserved at the moment; the answer was cut off here.",
}
Rating = Callable[[Call, Tap, Outcome], Settlement]
"""What a stream used and costs that ended so."""


async def relay_stream(
    gateway: Gateway, exchange: Exchange, call: Call, reached: Reached, rate: Rating | None = None
) -> None:
    """Sends the whole answer and settles the call, by tokens unless `rate` knows better."""
    assert call.request is not None
    tap = reached.bridge.tap()
    headers = call_headers(call, call.request.stream_content_type or reached.content_type.encode("latin-1"))
    headers.append((b"cache-control", b"no-cache"))
    await exchange.start(200, headers)
    error: DomainError | None = None
    try:
        error = await _pump_patiently(gateway, exchange, call, tap, reached)
    finally:
        exchange.at_ease()
        if not tap.complete:
            reached.upstream.close()
        outcome = _outcome(exchange, tap, error)
        settlement = (rate or rate_stream)(call, tap, outcome)
        settle_call(gateway, call, outcome, 200, settlement, error.code if error is not None else "")
    if call.cache is not None and tap.complete and settlement.source == "provider" and not settlement.flags:
        keep_for_later(gateway, call, None)
    cost_usd = format_usd(settlement.cost_nanousd)
    protocol = call.endpoint.protocol
    tail = tap.tail(cost_usd) if error is None else tap.broken(protocol.error_event(error, call.id))
    exchange.keep(tail)
    if settlement.source == "none":
        await end_uncharged(gateway, call)
    else:
        await keep_answer(gateway, exchange, call)
    if not exchange.gone and (tail or error is None):
        await exchange.finish(tail)
    if tap.complete:
        await reached.upstream.finish()


async def _pump_patiently(
    gateway: Gateway, exchange: Exchange, call: Call, tap: Tap, reached: Reached
) -> DomainError | None:
    """Pump until the end. Without a reader only for the drain, but an idempotent call to its end."""
    first = reached.body
    drain_s = gateway.limits.drain_s if call.claim is None else None
    while True:
        try:
            async with asyncio.timeout(None) as limit:
                exchange.be_patient(limit, drain_s)
                return await _pump(gateway, exchange, call, tap, first, reached.upstream)
        except TimeoutError:
            if call.claim is None:
                return None
            first = b""


async def _pump(
    gateway: Gateway, exchange: Exchange, call: Call, tap: Tap, first: bytes, upstream: UpstreamAnswer
) -> DomainError | None:
    """Until the stream ends; the error to tell the client where it ended badly."""
    try:
        data = first or await upstream.next_chunk()
        while data:
            if call.cache is not None:
                call.cache.collect(data)
            delivered = len(tap.texts)
            out = tap.feed(data)
            if exchange.gone and call.claim is None:
                del tap.texts[delivered:]  # read for the usage figure alone: an estimate counts what was delivered
            if out and not exchange.gone:
                await keep_covered(gateway, call, tap)
            if tap.complete:
                exchange.hold(out)
                return None
            if out:
                await exchange.write(out)
                gateway.crash("mid_stream")
            data = await upstream.next_chunk()
    except UpstreamFailure as failure:
        return upstream_timeout() if failure.kind == "timeout" else upstream_error("The provider broke off its answer.")
    except FrameTooLarge:
        return upstream_error("The provider sent an event that is too large.")
    except DomainError as error:
        return DomainError(error.code, CUT_OFF.get(error.code, CUT_OFF["billing_unavailable"]))
    if out := tap.end():
        await exchange.write(out)
    if tap.complete or tap.failed:
        return None
    return upstream_error("The provider ended its answer before it was complete.")


def _outcome(exchange: Exchange, tap: Tap, error: DomainError | None) -> Outcome:
    if tap.complete:
        return "client_disconnected" if exchange.gone else "succeeded"
    if exchange.gone:
        return "client_disconnected"
    if error is not None and error.code in CUT_OFF:
        return "cut_off"
    return "upstream_broken"


def rate_stream(call: Call, tap: Tap, outcome: Outcome) -> Settlement:
    """The provider's figure, else what was delivered."""
    if tap.usage is not None:
        return rate_provider_usage(call, tap.usage, tap.service_tier)
    if outcome == "upstream_broken" and not tap.texts:
        return NO_CHARGE
    # Joined, because where a provider cuts its chunks says nothing about tokens.
    return rate_estimate(call, ["".join(tap.texts)], tap.prompt)
