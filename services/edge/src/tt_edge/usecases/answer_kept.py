"""The response cache around a call: look for a kept answer, answer with it, keep a new one.

A hit calls no provider: its prompt is billed at the cache-read price and its output is free. It is admitted, and becomes one usage
event, as any call. Nothing that goes wrong with the cache is an error: it is a miss.
"""

from typing import Final

import msgspec

from tt_common.clock import now_ms
from tt_common.money import format_usd
from tt_common.rating import Usage, cost_nanousd
from tt_edge.cache.canonical import request_hash
from tt_edge.cache.memory import KeptAnswer
from tt_edge.cache.use import CacheUse
from tt_edge.domain.savings import kept_usage, saved_nanousd
from tt_edge.protocols.exchange import Exchange
from tt_edge.protocols.openai.answer import parse_answer, render_answer
from tt_edge.protocols.openai.forms import stream_of, whole_of
from tt_edge.protocols.openai.keep import keep_stream, keep_whole
from tt_edge.protocols.openai.request import OpenAIRequest
from tt_edge.protocols.openai.stream import StreamTap
from tt_edge.usecases.finish_idempotent import keep_answer
from tt_edge.usecases.gateway import Call, Gateway
from tt_edge.usecases.headers import call_headers
from tt_edge.usecases.settle_call import Settlement, settle_call

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeError, KeyError, TypeError, AttributeError)


class Hit(msgspec.Struct, frozen=True):
    """A kept answer in the form that this call wants. `cost_nanousd` is what its prompt costs at the cache-read price."""

    body: bytes
    usage: Usage
    saved_nanousd: int
    cost_nanousd: int


async def find_kept(gateway: Gateway, exchange: Exchange, call: Call) -> Hit | None:
    """The kept answer of the same request of the same account. Sets `call.cache` where the cache is on for this call."""
    assert call.key is not None and call.request is not None
    switch = exchange.headers.get(b"x-tt-cache", b"").strip().lower()
    if switch == b"off" or (switch != b"on" and not call.key.cache):
        return None
    if not isinstance(call.request, OpenAIRequest):
        return None
    digest = request_hash(call.endpoint.name, call.request.fields)
    if digest is None:
        return None
    directives = {part.strip().lower() for part in (exchange.joined_header(b"cache-control") or "").split(",")}
    use = call.cache = CacheUse(digest, keeps="no-store" not in directives)
    if "no-cache" in directives:
        return None
    kept = await gateway.answers.find((call.key.account_id, digest), now_ms())
    hit = _hit(call, kept) if kept is not None else None
    use.status = "miss" if hit is None else "hit"
    return hit


def _hit(call: Call, kept: KeptAnswer) -> Hit | None:
    assert call.request is not None and call.price is not None
    body, usage = kept.body, kept_usage(kept.usage)
    try:
        if kept.stream and not call.request.stream:
            body = whole_of(body)
        elif call.request.stream and not kept.stream:
            body = stream_of(body)
    except UNREADABLE:
        return None
    if not call.request.stream and parse_answer(body, call.request.kind) is None:
        return None
    cost = cost_nanousd(usage, call.price)
    return Hit(body, usage, saved_nanousd(kept.usage, cost, call.price), cost)


async def answer_kept(gateway: Gateway, exchange: Exchange, call: Call, hit: Hit) -> None:
    """Settle, then send, as a whole answer is; the client's stream is events all the same."""
    assert isinstance(call.request, OpenAIRequest)
    cost_usd = format_usd(hit.cost_nanousd)
    settle_call(gateway, call, "succeeded", 200, Settlement(hit.usage, "provider", hit.cost_nanousd, ("cache_hit",)))
    call.saved = (hit.usage.cache_read_tokens, hit.saved_nanousd)
    if call.request.stream:
        tap = StreamTap(call.request.model, call.request.wants_usage_chunk)
        content_type = b"text/event-stream; charset=utf-8"
        body = tap.feed(hit.body) + tap.tail(cost_usd)
    else:
        answer = parse_answer(hit.body, call.request.kind)
        assert answer is not None
        content_type, body = b"application/json", render_answer(answer, call.request.model, cost_usd)
    headers = call_headers(call, content_type)
    if call.request.stream:
        headers.append((b"cache-control", b"no-cache"))
    if call.claim is not None:
        exchange.kept_head = (200, headers)
        exchange.keep(body)
        await keep_answer(gateway, exchange, call)
    await exchange.respond(200, headers, body)


def keep_for_later(gateway: Gateway, call: Call, whole: bytes | None) -> None:
    """The call succeeded with a figure of the provider's: keep its answer, `whole` or the stream that was collected."""
    use = call.cache
    assert use is not None and call.key is not None and call.request is not None
    if not use.keeps or call.lowered_limit is not None:
        return
    limited = call.request.demand.output_limit is not None
    kept = (
        keep_whole(whole, call.request.kind, limited=limited)
        if whole is not None
        else keep_stream(use.collected, limited=limited)
    )
    if kept is not None:
        answer = KeptAnswer(whole is None, kept.body, kept.usage, now_ms())
        gateway.answers.keep((call.key.account_id, use.request_hash), answer)
