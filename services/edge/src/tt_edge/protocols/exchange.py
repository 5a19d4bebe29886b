"""One HTTP request and its answer over plain ASGI, with what a relay needs: bounded bodies, streaming, the client's disconnect.

Never buffers a stream; `kept` collects the answer only where an Idempotency-Key asks for it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, Final

from tt_common.clock import monotonic_s
from tt_edge.domain.refusals import body_too_large, body_too_slow, invalid_request

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

ATTENTION_AFTER_S: Final = 0.02
"""Quick answers are over by then; watching for a disconnect costs a task and stalls a timer, so both start late."""
STALLED_S: Final = 60.0
"""A client that takes no bytes for so long, or sends none of its upload, has left, whatever its connection says."""
STALL_CHECK_S: Final = 15.0
KEPT_BYTES_MAX: Final = 8 * 1024 * 1024 + 1


class ClientGone(Exception):
    """The client closed the connection before its request had arrived whole."""


class Exchange:
    """Wraps `scope`, `receive` and `send` of one request."""

    __slots__ = (
        "_drain_s",
        "_held",
        "_kept_bytes",
        "_patience",
        "_raw_headers",
        "_receive",
        "_send",
        "_timer",
        "_watcher",
        "_watching",
        "_writing_since",
        "client",
        "gone",
        "head_sent",
        "headers",
        "keeping",
        "kept",
        "kept_head",
        "method",
        "path",
        "query",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope.get("query_string", b"")
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self._raw_headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.client: str = scope["client"][0] if scope.get("client") else ""
        self.gone = False
        self.head_sent = False
        self.keeping = False
        self._held = b""
        self.kept: list[bytes] = []
        self._kept_bytes = 0
        self.kept_head: tuple[int, Headers] = (0, [])
        self._patience: asyncio.Timeout | None = None
        self._drain_s: float | None = None
        self._writing_since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._watching = False
        self._watcher: asyncio.Task[None] | None = None

    def header(self, name: bytes) -> str | None:
        """A request header as text (latin-1), or None."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def joined_header(self, name: bytes) -> str | None:
        """All lines of a header that may come several times, as one."""
        values = [value.decode("latin-1") for key, value in self._raw_headers if key == name]
        return ",".join(values) if values else None

    async def read_body(self, bytes_max: int) -> bytes:
        """The whole body. Raises request_too_large as soon as it is known to be, ClientGone where it breaks off."""
        self._check_declared(bytes_max)
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > bytes_max:
                raise body_too_large(bytes_max)
            parts.append(part)
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    async def body_parts(self, bytes_max: int) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises as `read_body` does, and request_timeout where nothing comes for long."""
        self._check_declared(bytes_max)
        size = 0
        while True:
            try:
                async with asyncio.timeout(STALLED_S):
                    message = await self._receive()
            except TimeoutError:
                raise body_too_slow() from None
            if message["type"] == "http.disconnect":
                raise ClientGone
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > bytes_max:
                raise body_too_large(bytes_max)
            if part:
                yield part
            if not message.get("more_body", False):
                return

    def _check_declared(self, bytes_max: int) -> None:
        declared = self.headers.get(b"content-length")
        if declared is not None and declared.isdigit() and int(declared) > bytes_max:
            raise body_too_large(bytes_max)
        if self.headers.get(b"content-encoding", b"identity") not in (b"identity", b""):
            raise invalid_request(
                "Compressed request bodies are not supported; send the body without Content-Encoding."
            )

    def watch_disconnect(self) -> None:
        """From soon on, notice when the client leaves. Call after the body was read, before `be_patient`; `end` stops it."""
        self._watching = True

    def _attend(self) -> None:
        if self._watching:
            self._watcher = asyncio.create_task(self._watch())
        self._timer = asyncio.get_running_loop().call_later(STALL_CHECK_S, self._check_stall)

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            continue
        self.gone = True
        self._hurry()

    def be_patient(self, limit: asyncio.Timeout, drain_s: float | None) -> None:
        """Let `limit` run out `drain_s` after the client has left (None: never), and at once where a write is stalled."""
        self._patience, self._drain_s = limit, drain_s
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(ATTENTION_AFTER_S, self._attend)
        if self.gone:
            self._hurry()

    def _hurry(self) -> None:
        if self._patience is not None and self._drain_s is not None and self._patience.when() is None:
            self._patience.reschedule(asyncio.get_running_loop().time() + self._drain_s)

    def _check_stall(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(STALL_CHECK_S, self._check_stall)
        if self._writing_since and monotonic_s() - self._writing_since > STALLED_S and self._patience is not None:
            self.gone = True
            self._patience.reschedule(loop.time())

    def at_ease(self) -> None:
        """The patient stretch is over."""
        self._patience = None

    async def start(self, status: int, headers: Headers) -> None:
        """Send the head of the answer."""
        self.head_sent = True
        if self.keeping:
            self.kept_head = (status, headers)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes) -> None:
        """Send a part of the body."""
        self.keep(data)
        if not self.gone:
            self._writing_since = monotonic_s()
            try:
                await self._send({"type": "http.response.body", "body": data, "more_body": True})
            finally:
                self._writing_since = 0.0

    def hold(self, data: bytes) -> None:
        """A part of the body that leaves in one write with the last."""
        self.keep(data)
        self._held = data

    def keep(self, data: bytes) -> None:
        """Remember a part of the answer for replays, up to just over what a replay may have."""
        if self.keeping and self._kept_bytes < KEPT_BYTES_MAX:
            self.kept.append(data)
            self._kept_bytes += len(data)

    async def finish(self, data: bytes = b"") -> None:
        """Send what is held and the last part, and end the answer. The last part was given to `keep` before, where it is kept."""
        await self._send({"type": "http.response.body", "body": self._held + data, "more_body": False})

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer."""
        headers.append((b"content-length", str(len(body)).encode()))
        self.head_sent = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    def end(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
