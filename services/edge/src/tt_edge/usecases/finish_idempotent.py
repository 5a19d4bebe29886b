"""Idempotency-Key: begin a call under it, replay one that is done, keep or free it at the end."""

import hashlib

from tt_common.errors import DomainError, Unavailable
from tt_edge.clients.idempotency import Claimed, Conflict, InProgress, Replay, ReplyGone
from tt_edge.protocols.exchange import Exchange
from tt_edge.usecases.gateway import Call, Gateway


async def begin_idempotent(gateway: Gateway, exchange: Exchange, call: Call, body: bytes) -> bool:
    """True where the call goes on (without the header, or claimed); False where a replay was sent.

    Raises idempotency_in_progress, idempotency_conflict, idempotency_reply_gone, idempotency_unavailable.
    """
    header = exchange.header(b"idempotency-key")
    if header is None:
        return True
    assert call.key is not None
    digest = hashlib.sha256(exchange.path.encode() + b"\n" + body).hexdigest()
    try:
        claim = await gateway.idempotency.claim(call.key.key_id, header, digest)
    except Unavailable:
        raise DomainError(
            "idempotency_unavailable",
            "The idempotency store can't be reached; nothing was called. Please retry.",
            retry_after_s=1,
        ) from None
    match claim:
        case Claimed():
            call.take_claim(claim)
            exchange.keeping = True
            return True
        case Replay():
            await _replay(exchange, claim)
            return False
        case InProgress():
            raise DomainError(
                "idempotency_in_progress",
                "A call with this Idempotency-Key is still running.",
                retry_after_s=claim.retry_after_s,
            )
        case Conflict():
            raise DomainError("idempotency_conflict", "This Idempotency-Key was used with another body.")
        case ReplyGone():
            raise DomainError(
                "idempotency_reply_gone",
                "The call with this Idempotency-Key was done and charged; its answer is no longer kept.",
            )


async def _replay(exchange: Exchange, replay: Replay) -> None:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in replay.headers]
    headers.append((b"x-tt-idempotent-replay", b"true"))
    await exchange.respond(replay.status, headers, b"".join(replay.chunks))


async def keep_answer(gateway: Gateway, exchange: Exchange, call: Call) -> None:
    """The answer is whole and settled: keep it for replays, before its last byte leaves."""
    if call.claim is not None:
        status, headers = exchange.kept_head
        kept = [(name.decode(), value.decode("latin-1")) for name, value in headers if name != b"x-tt-overhead-ms"]
        claim, call.claim = call.claim, None
        await gateway.idempotency.finish(claim, status, kept, exchange.kept)


async def end_uncharged(gateway: Gateway, call: Call) -> None:
    """The call was refused and not charged: the key is free for a retry."""
    if call.claim is not None:
        claim, call.claim = call.claim, None
        await gateway.idempotency.release(claim)
