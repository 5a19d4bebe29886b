"""What every request gets: an id, a bound on its body, headers that keep answers out of caches.

Plain ASGI; never reads a body itself, and leaves a Cache-Control that an answer brings.
"""

from typing import Final

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tt_common.clock import monotonic_s
from tt_common.ids import new_id
from tt_console.usecases.metrics import ConsoleMetrics

BODY_BYTES_MAX: Final = 256 * 1024
_NO_STORE: Final = (b"cache-control", b"no-store")
_HEADERS: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
]


class RequestScope:
    """Sets `scope["state"]["request_id"]` and the X-TT-Request-ID header; a body over the limit is refused with 413;
    every request is counted."""

    def __init__(self, app: ASGIApp, metrics: ConsoleMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_id("req")
        scope.setdefault("state", {})["request_id"] = request_id
        read_bytes, status, began_s = 0, 500, monotonic_s()

        async def bounded_receive() -> Message:
            nonlocal read_bytes
            message = await receive()
            read_bytes += len(message.get("body", b""))
            if read_bytes > BODY_BYTES_MAX:
                raise HTTPException(413, f"a body has at most {BODY_BYTES_MAX} bytes")
            return message

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", []), (b"x-tt-request-id", request_id.encode()), *_HEADERS]
                if all(name != _NO_STORE[0] for name, _ in headers):
                    headers.append(_NO_STORE)
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._app(scope, bounded_receive, send_with_headers)
        finally:
            route: str = getattr(scope.get("route"), "path", "")
            self._metrics.observe_request(scope["method"], route, status, monotonic_s() - began_s)
