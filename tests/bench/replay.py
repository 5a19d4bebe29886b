"""The provider of the benchmarks: what the sandbox provider says to a request, learnt once and then told from memory.

`python -m tests.bench.replay PORT SANDBOX_URL`. The sandbox works an answer out, reads switches and keeps records, which takes as much of a
processor as the passthrough does; this takes a tenth, so that edge and passthrough are what is measured. The same request always gets
the same answer, byte for byte the sandbox's, each event in a write of its own. A stream that asks for `chunk_delay_ms` is told at it.
"""

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import httptools
import httpx
import msgspec
import uvloop

from tt_sandbox.stack.ports import HOST

OPENING_EVENTS: Final = 1
CLOSING_EVENTS: Final = 3
"""Of a stream in OpenAI's form: the role; finish, usage and [DONE]. They come without a delay."""
LEARNING_S_MAX: Final = 10.0
OF_THE_CONNECTION: Final = frozenset({"connection", "content-length", "date", "keep-alive", "transfer-encoding"})
LAST_CHUNK: Final = b"0\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """What is sent first, the parts that follow in writes of their own, each `delay_s` later, and what follows the last."""

    head: bytes
    parts: tuple[bytes, ...] = ()
    ending: bytes = b""
    delay_s: float = 0.0


class Repertoire:
    """The answers by path and body."""

    def __init__(self, sandbox: httpx.AsyncClient) -> None:
        self._sandbox = sandbox
        self._known: dict[tuple[bytes, bytes], Answer] = {}
        self._learning: dict[tuple[bytes, bytes], asyncio.Task[Answer]] = {}

    def known(self, url: bytes, body: bytes) -> Answer | None:
        return self._known.get((url, body))

    async def learn(self, url: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> Answer:
        """Asks the sandbox, once for all who want to know. Raises httpx.HTTPError."""
        task = self._learning.get((url, body))
        if task is None:
            task = self._learning[url, body] = asyncio.create_task(self._ask(url, headers, body))
        try:
            answer = await asyncio.shield(task)
        finally:
            self._learning.pop((url, body), None)
        if answer.head.startswith(b"HTTP/1.1 200 "):
            self._known[url, body] = answer
        return answer

    async def _ask(self, url: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> Answer:
        hurried, delay_s = _without_delay(body)
        sent = [
            (name, value) for name, value in headers if name.decode("latin-1").lower() not in ("host", "content-length")
        ]
        found = await self._sandbox.post(url.decode("latin-1"), headers=sent, content=hurried)
        kept = [(name, value) for name, value in found.headers.multi_items() if name not in OF_THE_CONNECTION]
        if not found.headers.get("content-type", "").startswith("text/event-stream"):
            return Answer(
                _head(found.status_code, [*kept, ("content-length", str(len(found.content)))]) + found.content
            )
        head = _head(found.status_code, [*kept, ("transfer-encoding", "chunked")])
        events = [_chunk(event + b"\n\n") for event in found.content.split(b"\n\n") if event]
        if not delay_s:
            return Answer(head, (*events, LAST_CHUNK))
        paced = tuple(events[OPENING_EVENTS:-CLOSING_EVENTS])
        return Answer(
            head + b"".join(events[:OPENING_EVENTS]), paced, b"".join(events[-CLOSING_EVENTS:]) + LAST_CHUNK, delay_s
        )


def _without_delay(body: bytes) -> tuple[bytes, float]:
    """The request without its pace, and the pace, in seconds between two events."""
    request: dict[str, Any] = msgspec.json.decode(body) if body else {}
    delay_ms = float(request.get("sandbox", {}).pop("chunk_delay_ms", 0))
    return (msgspec.json.encode(request) if delay_ms else body), delay_ms / 1000


def _head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} {httpx.codes.get_reason_phrase(status)}\r\n{lines}\r\n".encode("latin-1")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Teller(asyncio.Protocol):
    """One connection, kept alive; one request at a time."""

    def __init__(self, repertoire: Repertoire) -> None:
        self._repertoire = repertoire
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._task: asyncio.Task[None] | None = None
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = []
        self._body = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        answer = self._repertoire.known(self._url, body)
        if answer is not None:
            self._tell(answer)
        elif self._parser.get_method() == b"POST":
            self._task = asyncio.create_task(self._learn(self._url, self._headers, body))
        else:
            self._tell(Answer(_head(200, [("content-length", "0")])))

    async def _learn(self, url: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        try:
            self._tell(await self._repertoire.learn(url, headers, body))
        except httpx.HTTPError:
            self._transport.abort()

    def _tell(self, answer: Answer) -> None:
        self._transport.write(answer.head)
        if answer.delay_s:
            self._go_on_at(self._loop.time() + answer.delay_s, answer, 0)
        else:
            for part in answer.parts:
                self._transport.write(part)

    def _go_on_at(self, due: float, answer: Answer, index: int) -> None:
        """By the clock, not from write to write: one late part makes no other late, and streams don't bunch up."""
        self._loop.call_at(due, self._go_on, due, answer, index)

    def _go_on(self, due: float, answer: Answer, index: int) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(answer.parts[index])
        if index + 1 < len(answer.parts):
            self._go_on_at(due + answer.delay_s, answer, index + 1)
        else:
            self._transport.write(answer.ending)


async def serve(port: int, sandbox_url: str) -> None:
    """Until SIGTERM ends the process."""
    async with httpx.AsyncClient(base_url=sandbox_url, timeout=LEARNING_S_MAX, trust_env=False) as sandbox:
        server = await asyncio.get_running_loop().create_server(
            partial(Teller, Repertoire(sandbox)), HOST, port, backlog=4096
        )
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2]))
