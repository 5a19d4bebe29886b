"""Response headers of the edge: ids, who served, what it took, and this key's own limits in OpenAI's form."""

from typing import Final

from tt_common.clock import monotonic_s
from tt_common.contracts.records import KeyRecord
from tt_common.errors import DomainError
from tt_common.money import format_usd
from tt_edge.protocols.exchange import Headers
from tt_edge.protocols.port import ClientProtocol, LimitLeft
from tt_edge.usecases.gateway import Call
from tt_edge.usecases.settle_call import overhead_ms

BYPASS: Final = b"bypass"


def call_headers(call: Call, content_type: bytes) -> Headers:
    """Headers of an answer, whole or stream, error or not; what is not known yet is left out."""
    request_id = call.id.encode()
    headers: Headers = [
        (b"content-type", content_type),
        (b"x-tt-request-id", request_id),
        (b"x-request-id", request_id),
        (b"x-tt-cache-status", BYPASS if call.cache is None else call.cache.status.encode()),
    ]
    if call.saved is not None:
        tokens, saved_nanousd = call.saved
        headers += [
            (b"x-tt-cache-read-tokens", str(tokens).encode()),
            (b"x-tt-cache-saved", format_usd(saved_nanousd).encode()),
        ]
    limits: list[LimitLeft] = []
    if call.hold is not None:
        headers.append((b"x-tt-hold-id", call.hold_id.encode()))
        limits = _limits(call)
        for limit in limits:
            headers += _openai_form(limit)
    if call.route is not None:
        headers.append((b"x-tt-provider", call.route.provider.encode()))
    headers += call.endpoint.protocol.answer_headers(request_id, limits)
    headers.append((b"x-tt-overhead-ms", b"%.3f" % overhead_ms(call, monotonic_s())))
    return headers


def _limits(call: Call) -> list[LimitLeft]:
    assert call.hold is not None
    grant = call.hold.grant
    terms, elsewhere, has = grant.key, grant.limits_remaining, grant.slices_in_hand()
    if terms.requests_per_minute is None and terms.tokens_per_minute is None:
        return []
    reset_s = max(0.0, grant.window_ends_at - monotonic_s())
    limits: list[LimitLeft] = []
    if terms.requests_per_minute is not None:
        left = max(0, elsewhere.requests + has.requests - grant.used_requests)
        limits.append(LimitLeft("requests", terms.requests_per_minute, left, reset_s))
    if terms.tokens_per_minute is not None:
        left = max(0, elsewhere.tokens + has.tokens - grant.used_tokens)
        limits.append(LimitLeft("tokens", terms.tokens_per_minute, left, reset_s))
    return limits


def _openai_form(limit: LimitLeft) -> Headers:
    kind = limit.kind.encode()
    return [
        (b"x-ratelimit-limit-" + kind, str(limit.limit).encode()),
        (b"x-ratelimit-remaining-" + kind, str(limit.left).encode()),
        (b"x-ratelimit-reset-" + kind, duration(limit.reset_s).encode()),
    ]


def refused_limit_headers(protocol: ClientProtocol, key: KeyRecord, error: DomainError) -> Headers:
    """On a 429 of ours: the limit that was reached, nothing left of it, and when it resets. Nothing for other errors."""
    kind = error.data.get("limit_kind")
    if error.code != "rate_limit_exceeded" or (kind != "requests" and kind != "tokens"):
        return []
    limit = key.requests_per_minute if kind == "requests" else key.tokens_per_minute
    if limit is None:
        return []
    reached = LimitLeft(kind, limit, 0, float(error.data.get("retry_after_s", 0)))
    return _openai_form(reached) + protocol.answer_headers(b"", [reached])


def duration(seconds: float) -> str:
    """OpenAI's form: `12ms`, `7.5s`, `1m30s`."""
    milliseconds = round(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".")
    return f"{minutes}m{text}s" if minutes else f"{text}s"
