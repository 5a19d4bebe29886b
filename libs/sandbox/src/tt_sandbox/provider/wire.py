"""One HTTP exchange over bare ASGI: whole answers, event streams, and noticing that the client has gone."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from tt_sandbox.provider.records import Call

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

BODY_BYTES_MAX = 64 * 1024 * 1024
# A stream without delays lets other connections run after this many events.
EVENTS_PER_TURN = 16
JSON = b"application/json"
EVENT_STREAM = b"text/event-stream; charset=utf-8"


class ClientGone(Exception):
    """The client closed the connection before the answer was complete."""


class BodyTooLarge(Exception):
    """The request's body is over `BODY_BYTES_MAX`."""


async def read_body(receive: Receive) -> bytes:
    """The whole request body. Raises ClientGone or BodyTooLarge."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return message.get("body", b"")
    parts: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise BodyTooLarge
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()


async def send_whole(
    send: Send, status: int, payload: bytes, headers: Headers | None = None, media_type: bytes = JSON
) -> None:
    """A whole answer with a length."""
    head: Headers = [(b"content-type", media_type), (b"content-length", b"%d" % len(payload)), *(headers or ())]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": payload})


class Exchange:
    """The answering side of one call; keeps the call's record true as bytes are written."""

    __slots__ = ("_events", "_headers", "_receive", "_send", "_watcher", "call")

    def __init__(self, call: Call, receive: Receive, send: Send, headers: Callable[[Call], Headers]) -> None:
        """`headers` go with every answer of this call: the vendor's request id and limits."""
        self.call = call
        self._headers = headers
        self._receive = receive
        self._send = send
        self._watcher: asyncio.Task[None] | None = None
        self._events = 0

    async def answer(
        self, status: int, payload: bytes, headers: Headers | None = None, media_type: bytes = JSON
    ) -> None:
        """A whole answer; completes the call."""
        self._check_client()
        self.call.status = status
        await send_whole(self._send, status, payload, [*self._headers(self.call), *(headers or ())], media_type)
        self.call.completed = True

    async def open_stream(self, media_type: bytes = EVENT_STREAM) -> None:
        """Sends the head of a stream."""
        self._watch()
        self.call.status = 200
        head: Headers = [(b"content-type", media_type), (b"cache-control", b"no-cache"), *self._headers(self.call)]
        await self._send({"type": "http.response.start", "status": 200, "headers": head})

    async def write(self, event: bytes) -> None:
        """Sends one event. Raises ClientGone."""
        self._check_client()
        await self._send({"type": "http.response.body", "body": event, "more_body": True})
        self._events += 1
        if self._events % EVENTS_PER_TURN == 0:
            await asyncio.sleep(0)

    async def close_stream(self, *, completed: bool = True) -> None:
        """Ends the stream cleanly. Raises ClientGone."""
        self._check_client()
        await self._send({"type": "http.response.body", "body": b""})
        self.call.completed = completed

    async def wait(self, seconds: float | None) -> None:
        """Waits, for ever if None; raises ClientGone as soon as the client has gone."""
        await asyncio.wait({self._watch()}, timeout=seconds)
        self._check_client()

    def release(self) -> None:
        """Stops watching the connection; must follow every exchange."""
        if self._watcher is not None:
            self._watcher.cancel()

    def _check_client(self) -> None:
        if self._watcher is not None and self._watcher.done():
            self.call.client_disconnected = True
            raise ClientGone

    def _watch(self) -> asyncio.Task[None]:
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._until_disconnect())
        return self._watcher

    async def _until_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            continue
