"""A server on a raw socket that sends any bytes at any pace, and the short way to ask it. It parses no more than the request's length."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

from tt_edge.clients.http1 import HttpConnection
from tt_edge.clients.http1_pool import HttpPool

REQUEST = b"POST /v1/x HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Asked:
    """One request that arrived: on which connection, as which of its requests (both from 0)."""

    connection: int
    turn: int
    head: bytes
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


Script = Callable[[Asked], Awaitable[None]]


def sends(*pieces: bytes | float, close: bool = False) -> Script:
    """A script: write the pieces, wait where one is a number of seconds, then perhaps close."""

    async def script(asked: Asked) -> None:
        for piece in pieces:
            if isinstance(piece, bytes):
                asked.writer.write(piece)
                await asked.writer.drain()
            else:
                await asyncio.sleep(piece)
        if close:
            asked.writer.close()

    return script


class ScriptedServer:
    """`script` answers each request; `on_connect`, if set, has the connection to itself instead."""

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.script: Script = sends(OK)
        self.on_connect: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None
        self.asked: list[Asked] = []
        self.connections = 0
        self._tls = tls
        self._host = host
        self._tasks: set[asyncio.Task[None]] = set()
        self.writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, 0, ssl=self._tls, limit=2**16)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.01)

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}/v1"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer, self.connections))
        self.connections += 1
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.writers.add(writer)
        try:
            if self.on_connect is not None:
                await self.on_connect(reader, writer)
                return
            turn = 0
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
                )
                asked = Asked(number, turn, head, await reader.readexactly(length), reader, writer)
                self.asked.append(asked)
                await self.script(asked)
                turn += 1
        except (OSError, EOFError):
            pass  # the client went away, which is its right
        finally:
            self.writers.discard(writer)
            writer.transport.abort()


async def ask(pool: HttpPool, timeout_s: float = 2.0) -> tuple[int, bytes]:
    """One whole exchange."""
    connection = await pool.take(timeout_s)
    await connection.ask(REQUEST, timeout_s)
    return connection.status, await rest(connection, timeout_s)


async def rest(connection: HttpConnection, timeout_s: float = 2.0) -> bytes:
    """What is left of a body."""
    parts: list[bytes] = []
    while data := await connection.next_chunk(timeout_s):
        parts.append(data)
    return b"".join(parts)
