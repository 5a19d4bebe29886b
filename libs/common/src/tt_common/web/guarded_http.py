"""uvicorn's HTTP/1.1 protocol with the limits that it lacks: bytes of a head, and how long a client may take to send a request.

Invariants: no client makes the process remember more than HEAD_BYTES_MAX of a head and one read of the socket; none holds a connection by
sending nothing, or a byte now and then. Trailers never become headers. A request that arrives whole, as nearly all do, costs no timer.
"""

# pyright: reportUnnecessaryComparison=false
# (uvicorn declares `cycle` as always there; it is None before the first request)

import asyncio
from collections import deque
from typing import Any, Final

from tt_common.web.joined_writes import JoinedWritesProtocol

HEAD_BYTES_MAX: Final = 64 * 1024
PATIENCE_S: Final = 20.0
"""How long a request may take to arrive, and a new connection to begin one …"""
BYTES_PER_S_MIN: Final = 16 * 1024
"""… and a second more for every so many bytes that came."""
TIMEOUT: Final = b"408 Request Timeout"
TOO_LARGE: Final = b"431 Request Header Fields Too Large"

# Where trailers go: uvicorn would add them to the headers that the application already has.
_NOWHERE: Final[deque[tuple[bytes, bytes]]] = deque(maxlen=0)


class GuardedHttp(JoinedWritesProtocol):
    """One connection of a client."""

    patience_s = PATIENCE_S

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._unfinished = False
        self._head_open = False
        self._head_bytes = 0
        self._began_s = 0.0
        self._received_bytes = 0
        self._watch: asyncio.TimerHandle | None = None
        self._upgraded = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._start_watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """What is whole after this needs no more looking at."""
        head_was_open = self._head_open
        super().data_received(data)
        if not self._unfinished:
            if self._watch is not None:
                self._stop_watch()
            return
        if self._watch is None:
            self._start_watch()
        self._received_bytes += len(data)
        if head_was_open and self._head_open:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse(TOO_LARGE)

    def on_message_begin(self) -> None:
        """The parser has seen the first byte of a request."""
        self._unfinished = self._head_open = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._head_open = False
        super().on_headers_complete()
        self.headers = _NOWHERE  # pyright: ignore[reportAttributeAccessIssue]

    def on_message_complete(self) -> None:
        self._unfinished = False
        super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing is ever upgraded here. The parser is at its end after such a request, so its answer is the connection's last."""
        if self._upgraded:
            self.transport.close()
        elif self.cycle is not None:
            self.cycle.keep_alive = False
        self._upgraded = True

    def _start_watch(self) -> None:
        self._began_s = self.loop.time()
        self._received_bytes = 0
        self._watch = self.loop.call_later(self.patience_s, self._look)

    def _stop_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _look(self) -> None:
        """The client's time is up, unless it has sent enough for more, or it is us who don't read."""
        now_s = self.loop.time()
        if self.flow.read_paused:
            self._began_s, self._received_bytes = now_s, 0
        left_s = self._began_s + self.patience_s + self._received_bytes / BYTES_PER_S_MIN - now_s
        if left_s <= 0:
            self._refuse(TIMEOUT)
        else:
            self._watch = self.loop.call_later(left_s, self._look)

    def _refuse(self, status: bytes) -> None:
        self._stop_watch()
        if self._may_answer():
            self.transport.write(b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
        self.transport.close()

    def _may_answer(self) -> bool:
        """Whether an answer would be the next on this connection, and to this request, and not in the midst of another."""
        if self.pipeline or not self._unfinished:
            return False
        cycle = self.cycle
        if self._head_open:
            return cycle is None or cycle.response_complete
        return cycle is not None and not cycle.response_started
