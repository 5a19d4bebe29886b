"""A load generator that is never the bottleneck: prepared HTTP/1.1 requests over kept-alive connections.

Parses just enough of an answer to know where it ends and that it is whole. One request at a time on a connection. Every request
that was begun is finished, so that whoever is asked afterwards has seen exactly `completed` calls. Never retries.
"""

import asyncio
import gc
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import cast

GIVE_UP_S = 30.0
HEAD_BYTES_MAX = 64 * 1024
FAILURE_BYTES_MAX = 600
LAST_CHUNK = b"0\r\n\r\n"
FIRST_EVENT = b"data: "

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Target:
    """Where the requests go, and the requests: sent in turn by whichever connection is free."""

    host: str
    port: int
    requests: Sequence[bytes]
    is_whole: Callable[[bytes], bool]
    """Judges a whole answer, head included."""


@dataclass
class Result:
    """What a run saw. Latencies in seconds, one a completed call; `first_event_s` only for streams."""

    completed: int = 0
    failed: int = 0
    first_failure: str = ""
    elapsed_s: float = 0.0
    latency_s: list[float] = field(default_factory=list[float])
    first_event_s: list[float] = field(default_factory=list[float])

    @property
    def per_second(self) -> float:
        """Completed calls a second."""
        return self.completed / self.elapsed_s if self.elapsed_s else 0.0


async def run(target: Target, connections: int, seconds: float, pause_s: float = 0.0, spread_s: float = 0.0) -> Result:
    """Keeps `connections` busy for `seconds`, with `pause_s` between the calls of each, then lets what is under way end. They begin
    evenly over `spread_s`: calls that all take the same time would else come all at once, again and again. Raises OSError when it
    can't connect and TimeoutError when an answer never ends.
    """
    loop = asyncio.get_running_loop()
    result = Result()
    requests = cycle(target.requests)
    started = time.perf_counter()
    clients = [
        _Connection(target.is_whole, requests.__next__, result, started + seconds, pause_s, loop)
        for _ in range(connections)
    ]
    gc.collect()
    gc.disable()
    try:
        for number, client in enumerate(clients):
            await asyncio.sleep(started + spread_s * number / connections - time.perf_counter())
            await loop.create_connection(lambda client=client: client, target.host, target.port)
        async with asyncio.timeout(seconds + GIVE_UP_S):
            await asyncio.gather(*(client.ended for client in clients))
    finally:
        gc.enable()
    result.elapsed_s = time.perf_counter() - started
    return result


class _Connection(asyncio.Protocol):
    """One kept-alive connection that sends the next request when an answer is whole, until the deadline."""

    def __init__(
        self,
        is_whole: Callable[[bytes], bool],
        next_request: Callable[[], bytes],
        result: Result,
        deadline: float,
        pause_s: float,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.ended: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._pause_s = pause_s
        self._is_whole = is_whole
        self._next_request = next_request
        self._result = result
        self._deadline = deadline
        self._transport: asyncio.Transport
        self._sent_at = 0.0
        self._answer = b""
        # The whole answer's size; None while the head is not complete, 0 where it ends with the last chunk.
        self._size: int | None = None
        self._event_seen = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._send()

    def data_received(self, data: bytes) -> None:
        self._answer = answer = self._answer + data if self._answer else data
        if self._size is None and not self._read_head(answer):
            return
        if not self._size:
            if not self._event_seen and FIRST_EVENT in data:
                self._event_seen = True
                self._result.first_event_s.append(time.perf_counter() - self._sent_at)
            if answer.endswith(LAST_CHUNK):
                self._done(answer)
        elif len(answer) >= self._size:
            self._done(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self._fail(self._answer or f"connection lost: {exc!r}".encode())
            self.ended.set_result(None)

    def _send(self) -> None:
        self._answer, self._size, self._event_seen = b"", None, False
        self._sent_at = time.perf_counter()
        self._transport.write(self._next_request())

    def _read_head(self, answer: bytes) -> bool:
        head_end = answer.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX)
        if head_end < 0:
            return False
        length = _LENGTH.search(answer, 0, head_end)
        self._size = head_end + 4 + int(length[1]) if length else 0
        return True

    def _done(self, answer: bytes) -> None:
        now = time.perf_counter()
        if answer.startswith(b"HTTP/1.1 200 ") and self._is_whole(answer):
            self._result.completed += 1
            self._result.latency_s.append(now - self._sent_at)
        else:
            self._fail(answer)
        if now < self._deadline:
            if self._pause_s:
                self._loop.call_later(self._pause_s, self._send)
            else:
                self._send()
        else:
            self.ended.set_result(None)
            self._transport.close()

    def _fail(self, answer: bytes) -> None:
        self._result.failed += 1
        self._result.first_failure = self._result.first_failure or answer[:FAILURE_BYTES_MAX].decode("latin-1")
