"""One HTTP/1.1 connection of the hot relay: POST, keep-alive, chunked, back-pressure, time-outs. asyncio.Protocol on httptools.

It does what a relay needs and nothing else: no redirects, no cookies, no proxies, no decompression; `clients/upstream.py` keeps aiohttp for
those. Invariants: a connection is used again only after a whole answer with nothing left over on either side; what breaks off never
looks like an end; every byte that is no body counts against a limit. Never logs, never retries.
"""

import asyncio
from collections import deque
from typing import Any, Final, NoReturn, Protocol

import httptools

from tt_edge.clients.answers import UpstreamFailure

BUFFER_BYTES_HIGH: Final = 256 * 1024
HEADER_BYTES_MAX: Final = 64 * 1024
"""For the head; for trailers and chunk extensions between two parts of the body too."""
HEADERS_MAX: Final = 256
CHUNK_OVERHEAD_BYTES: Final = 48
"""What a chunk costs in memory besides its bytes, so that many tiny ones press back too."""
TIMER_SLACK_S: Final = 0.05
"""A time-out may come this much later; it saves a timer for every wait."""


class ConnectionOwner(Protocol):
    """Who keeps the connections between their exchanges."""

    def release(self, connection: "HttpConnection") -> None:
        """An exchange is complete: the connection may be used again."""
        ...

    def lost(self, connection: "HttpConnection", stale: bool) -> None:
        """The connection is gone; `stale`: it was a kept one, closed before a byte of an answer."""
        ...


class HttpConnection(asyncio.Protocol):
    """One connection; at most one exchange at a time. Call `ask`, then `next_chunk` until it gives b"": that frees it for the next.

    A cancelled `ask` drops the connection; a cancelled `next_chunk` loses nothing and may be called again, or `close` be called.
    """

    def __init__(self, owner: ConnectionOwner, loop: asyncio.AbstractEventLoop) -> None:
        self._owner = owner
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._paused = False
        self._failure: tuple[str, str] | None = None
        self._used = False
        self._asking = False
        self._head_done = False
        self._complete = False
        self._keep_alive = False
        self._header_bytes = 0
        self._barren_bytes = 0
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.idle_since = 0.0

    # -- what a caller does -------------------------------------------------------------------------------------------

    async def ask(self, request: bytes, first_byte_timeout_s: float, body: bytes = b"") -> None:
        """Send a whole request (`body` after `request`, uncopied) and wait for the whole head of its answer, all within
        the time-out. Raises UpstreamFailure."""
        assert not self._asking
        if self._transport is None or self._transport.is_closing():
            raise UpstreamFailure("stale" if self._used else "connect", "closed before it was asked")
        self._asking, self._head_done, self._complete = True, False, False
        self._header_bytes = self._barren_bytes = 0
        self.headers = {}
        self._transport.write(request)
        if body:
            self._transport.write(body)
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
            await self._wait(timeout_s)
        data = self._chunks.popleft() if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._buffered = 0
        if self._paused:
            self._paused = False
            if not self.closed and self._transport is not None:
                self._transport.resume_reading()
        return data

    async def finish(self, timeout_s: float) -> None:
        """Take what little is left of a body, so that the connection can be used again; drop it where that takes longer."""
        deadline = self._loop.time() + timeout_s
        try:
            while await self.next_chunk(deadline - self._loop.time()):
                if self._loop.time() >= deadline:
                    self.close()
                    return
        except UpstreamFailure:
            return  # dropped already
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Drop the connection in whatever state; who still reads gets a failure, never an end."""
        if self._asking:
            self._asking = self._complete = False
            self._chunks.clear()
        self._fail("broken", "closed by us")

    @property
    def closed(self) -> bool:
        """Whether it can't be used any more."""
        return self._transport is None or self._transport.is_closing()

    @property
    def gone(self) -> bool:
        """Whether the owner was told that it is lost."""
        return self._transport is None

    # -- waiting ------------------------------------------------------------------------------------------------------

    async def _wait(self, timeout_s: float) -> None:
        """Until something arrives. One timer a connection looks at the deadline now and then, instead of one a wait."""
        assert self._waiter is None
        failure = self._failure
        if failure is not None:
            raise UpstreamFailure(*failure)
        self._deadline = self._loop.time() + timeout_s
        if self._timer is None:
            self._timer = self._loop.call_later(timeout_s, self._look_at_deadline)
        elif self._timer.when() > self._deadline + TIMER_SLACK_S:
            self._timer.cancel()
            self._timer = self._loop.call_later(timeout_s, self._look_at_deadline)
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        if self._failure is not None and not self._chunks:
            raise UpstreamFailure(*self._failure)

    def _look_at_deadline(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        left_s = self._deadline - self._loop.time()
        if left_s <= 0:
            self._fail("timeout", "no bytes in time")
        else:
            self._timer = self._loop.call_later(left_s, self._look_at_deadline)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, kind: str, detail: str) -> None:
        """Drop the connection. What arrived before stays readable, a complete answer wholly."""
        if self._failure is None and not self._complete:
            self._failure = (kind, detail)
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
        buffered = self._buffered
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail("broken", type(error).__name__)
            return
        if self._complete:
            pass
        elif self._buffered == buffered:
            self._barren_bytes += len(data)
            if self._barren_bytes > HEADER_BYTES_MAX:
                self._fail("broken", "too many bytes that are no body")
        else:
            self._barren_bytes = 0
            if self._buffered > BUFFER_BYTES_HIGH and not self._paused and self._transport is not None:
                self._paused = True
                self._transport.pause_reading()
        if self._head_done:
            self._wake()

    def eof_received(self) -> None:
        """The peer has said all: the end of a body that has no length, or a break. Its half-open rest is of no use."""
        sized = self.headers.keys() & {b"content-length", b"transfer-encoding"}
        if self._asking and self._head_done and not sized and self._failure is None:
            self._complete = True  # on_message_complete did not see it, so the connection is not kept
        self._break_off("connection closed")

    def connection_lost(self, exc: Exception | None) -> None:
        self._break_off(type(exc).__name__ if exc is not None else "connection closed")
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        del self._parser  # it holds our methods, a cycle; nothing is fed any more
        self._owner.lost(self, self._failure is not None and self._failure[0] == "stale")

    def _break_off(self, detail: str) -> None:
        unanswered = self._asking and not self._head_done and not self._barren_bytes
        self._fail("stale" if self._used and unanswered else "broken", detail)

    def _release(self) -> None:
        """The whole answer was read: the connection may serve another exchange, if the request was all sent too."""
        if not self._asking:
            return
        self._asking = False
        self._used = True
        transport = self._transport
        if transport is None:
            return
        if self._keep_alive and not transport.is_closing() and not transport.get_write_buffer_size():
            self._keep_alive = False
            self._owner.release(self)
        else:
            transport.abort()

    # -- httptools ----------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._complete:
            raise httptools.HttpParserError("a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_done:
            return  # a trailer: must not pass for a header
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > HEADER_BYTES_MAX or len(self.headers) >= HEADERS_MAX:
            self._refuse("too many headers")
        name = name.lower()
        before = self.headers.get(name)
        self.headers[name] = value if before is None else before + b", " + value

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self.headers = {}
            return
        if not 200 <= status <= 599:
            self._refuse("a status that does not exist")
        if self.headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            self._refuse("a transfer encoding other than chunked")
        self.status = status
        self._head_done = True

    def on_body(self, body: bytes) -> None:
        if not self._head_done:
            self._refuse("an interim answer with a body")
        self._chunks.append(body)
        self._buffered += len(body) + CHUNK_OVERHEAD_BYTES

    def on_message_complete(self) -> None:
        if self._head_done:
            self._complete = True
            self._keep_alive = self._parser.should_keep_alive()  # the parser only knows it here

    def _refuse(self, detail: str) -> NoReturn:
        self._failure = self._failure or ("broken", detail)
        raise httptools.HttpParserError(detail)
