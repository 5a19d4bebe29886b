"""Pages of any origin may call from a browser (CORS): a key is sent by the page, never by the browser itself, so nothing can be forged.

Only calls that name an origin carry these headers. Cookies are not allowed.
"""

from collections.abc import MutableMapping
from typing import Any, Final

from tt_edge.protocols.exchange import Headers, Scope, Send

SHOWN: Final = (
    b"x-request-id, request-id, retry-after, x-should-retry, x-tt-request-id, x-tt-hold-id, x-tt-provider, x-tt-overhead-ms,"
    b" x-tt-cache-status, x-tt-cache-read-tokens, x-tt-cache-saved, x-tt-idempotent-replay, x-ratelimit-limit-requests,"
    b" x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens,"
    b" x-ratelimit-reset-tokens"
)
ANY_ORIGIN: Final[Headers] = [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", SHOWN)]
ASKED_HEADERS_BYTES_MAX: Final = 4096
A_DAY_S: Final = b"86400"


def asks_first(scope: Scope) -> bool:
    """Whether a browser asks what it may send before it sends it."""
    return scope["method"] == "OPTIONS" and any(
        name == b"access-control-request-method" for name, _ in scope["headers"]
    )


async def allow(scope: Scope, send: Send) -> None:
    """Whatever the page wants to send, it may."""
    asked = dict(scope["headers"]).get(b"access-control-request-headers", b"")[:ASKED_HEADERS_BYTES_MAX]
    headers: Headers = [
        (b"access-control-allow-origin", b"*"),
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-max-age", A_DAY_S),
        (b"vary", b"access-control-request-headers"),
    ]
    if asked:
        headers.append((b"access-control-allow-headers", asked))
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def names_origin(scope: Scope) -> bool:
    return any(name == b"origin" for name, _ in scope["headers"])


def open_to_pages(send: Send) -> Send:
    """The same, whose answers a page of any origin may read."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *ANY_ORIGIN]
        await send(message)

    return sending
