"""A small HTTP/1.1 client for the hot relay: POST, keep-alive, TLS, chunked, back-pressure, time-outs. asyncio.Protocol on httptools.

It does what a relay needs and nothing else: no redirects, no cookies, no proxies, no decompression; `clients/upstream.py` keeps aiohttp for
those. Invariant: a connection is used again only after a whole answer, with nothing left over. Never logs, never retries.
"""

import asyncio
import ssl
from collections import deque
from typing import Any, Final
from urllib.parse import urlsplit

import httptools

from tt_edge.clients.answers import UpstreamFailure

BUFFER_BYTES_HIGH: Final = 256 * 1024
HEADER_BYTES_MAX: Final = 64 * 1024
HEADERS_MAX: Final = 256


class HttpConnection(asyncio.Protocol):
    """One connection; at most one exchange at a time. Call `ask`, then `next_chunk` until it gives b"": that frees it for the next."""

    def __init__(self, pool: "HttpPool") -> None:
        self._pool = pool
        self._loop = pool.loop
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._paused = False
        self._failure: UpstreamFailure | None = None
        self._used = False
        self._asking = False
        self._head_done = False
        self._complete = False
        self._keep_alive = False
        self._header_bytes = 0
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.idle_since = 0.0

    # -- what a caller does -------------------------------------------------------------------------------------------

    async def ask(self, request: bytes, first_byte_timeout_s: float) -> None:
        """Send a whole request and wait for the head of its answer. Raises UpstreamFailure."""
        assert self._transport is not None and not self._asking
        self._asking, self._head_done, self._complete = True, False, False
        self._failure = None
        self.headers = {}
        self._header_bytes = 0
        self._transport.write(request)
        try:
            while not self._head_done:
                await self._wait(first_byte_timeout_s)
        except BaseException:
            self.close()
            raise

    async def next_chunk(self, timeout_s: float) -> bytes:
        """What has arrived of the body, at least one byte; b"" at its end. Raises UpstreamFailure where it breaks off."""
        while not self._chunks:
            if self._complete:
                self._release()
                return b""
            if self._failure is not None:
                raise self._failure
            try:
                await self._wait(timeout_s)
            except UpstreamFailure:
                self.close()
                raise
        data = self._chunks.popleft() if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._buffered = 0
        if self._paused:
            self._paused = False
            if self._transport is not None:
                self._transport.resume_reading()
        return data

    async def finish(self, timeout_s: float) -> None:
        """Take what little is left of a body, so that the connection can be used again; else drop it."""
        try:
            while await self.next_chunk(timeout_s):
                continue
        except UpstreamFailure:
            self.close()

    def close(self) -> None:
        """Drop the connection."""
        self._asking = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()

    @property
    def closed(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    async def _wait(self, timeout_s: float) -> None:
        """Until something arrives. One timer a connection looks at the deadline now and then, instead of one a wait."""
        if self._failure is not None:
            raise self._failure
        self._deadline = self._loop.time() + timeout_s
        if self._timer is None:
            self._timer = self._loop.call_later(timeout_s, self._look_at_deadline)
        elif self._timer.when() > self._deadline + 1.0:
            self._timer.cancel()
            self._timer = self._loop.call_later(timeout_s, self._look_at_deadline)
        waiter = self._waiter = self._loop.create_future()
        try:
            await waiter
        finally:
            self._waiter = None
            self._deadline = 0.0
        if self._failure is not None and not self._chunks:
            raise self._failure

    def _look_at_deadline(self) -> None:
        self._timer = None
        if not self._deadline:
            return
        now = self._loop.time()
        if now >= self._deadline:
            self._fail("timeout", "no bytes in time")
        else:
            self._timer = self._loop.call_later(self._deadline - now, self._look_at_deadline)

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _fail(self, kind: str, detail: str) -> None:
        if self._failure is None and not self._complete:
            self._failure = UpstreamFailure(kind, detail)
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    # -- asyncio.Protocol ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._asking or self._complete:
            self._fail("broken", "bytes that nobody asked for")
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail("broken", type(error).__name__)
            return
        if (
            self._buffered > BUFFER_BYTES_HIGH
            and not self._paused
            and not self._complete
            and self._transport is not None
        ):
            self._paused = True
            self._transport.pause_reading()
        if self._head_done:
            self._wake()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._pool.lost(self)
        if self._asking and not self._complete:
            self._ended(exc)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake()

    def _ended(self, exc: Exception | None) -> None:
        """The peer closed: the end of a body that has no length, or a failure."""
        if self._head_done and exc is None and self._until_close():
            self._complete = True
        elif self._failure is None:
            kind = "stale" if self._used and not self._header_bytes else "broken"
            self._failure = UpstreamFailure(kind, type(exc).__name__ if exc is not None else "connection closed")

    def _until_close(self) -> bool:
        return b"content-length" not in self.headers and b"transfer-encoding" not in self.headers

    def _release(self) -> None:
        """The whole answer was read: the connection may serve another exchange."""
        if not self._asking:
            return
        self._asking = False
        self._used = True
        if self._keep_alive and not self.closed:
            self._pool.release(self)
        elif self._transport is not None:
            self._transport.close()

    # -- httptools ----------------------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > HEADER_BYTES_MAX or len(self.headers) >= HEADERS_MAX:
            raise httptools.HttpParserError("too many headers")
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self.headers = {}
            return
        self.status = status
        self._head_done = True

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._buffered += len(body)

    def on_message_complete(self) -> None:
        if self._head_done:
            self._complete = True
            self._keep_alive = self._parser.should_keep_alive()  # the parser only knows it here


class HttpPool:
    """Connections to one origin, the one used last first. Unbounded waiting never happens: above the limit it fails."""

    def __init__(self, base_url: str, connections_max: int, keepalive_s: float) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("a base URL is http://host[:port]/path or https://…")
        self.loop = asyncio.get_running_loop()
        self._host: str = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._ssl = ssl.create_default_context() if parts.scheme == "https" else None
        self._connections_max = connections_max
        self._keepalive_s = keepalive_s
        self._idle: deque[HttpConnection] = deque()
        self._open: set[HttpConnection] = set()
        self._closed = False

    async def take(self, connect_timeout_s: float) -> HttpConnection:
        """An idle connection, or a new one. Raises UpstreamFailure `connect`."""
        oldest = self.loop.time() - self._keepalive_s
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and connection.idle_since >= oldest:
                return connection
            connection.close()
        if len(self._open) >= self._connections_max:
            raise UpstreamFailure("connect", "too many connections")
        try:
            async with asyncio.timeout(connect_timeout_s):
                _, connection = await self.loop.create_connection(
                    lambda: HttpConnection(self),
                    self._host,
                    self._port,
                    ssl=self._ssl,
                    server_hostname=self._host if self._ssl is not None else None,
                )
        except (OSError, TimeoutError) as error:
            raise UpstreamFailure("connect", type(error).__name__) from error
        self._open.add(connection)
        return connection

    def release(self, connection: HttpConnection) -> None:
        """An exchange is complete: the connection may be used again."""
        if self._closed:
            connection.close()
            return
        connection.idle_since = self.loop.time()
        self._idle.append(connection)
        while self._idle and self._idle[0].idle_since < connection.idle_since - self._keepalive_s:
            self._idle.popleft().close()

    def lost(self, connection: HttpConnection) -> None:
        """The connection is gone."""
        self._open.discard(connection)

    def close(self) -> None:
        """Drop idle connections now, the others when their exchange ends."""
        self._closed = True
        for connection in list(self._idle):
            connection.close()
        self._idle.clear()
