"""Answers leave in as few pieces as can be, in order, on real connections and on a transport that is watched."""

import asyncio
from typing import Any, cast

import uvloop

from tt_common.web.joined_writes import JoiningTransport

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"


class Watched:
    """Keeps what each write handed on."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.writes.append(data)

    def writelines(self, parts: tuple[bytes, ...]) -> None:
        self.write(b"".join(parts))

    def close(self) -> None:
        self.closed = True

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def joining(watched: Watched) -> JoiningTransport:
    return JoiningTransport(cast(asyncio.Transport, watched), asyncio.get_running_loop())


async def test_head_and_body_are_one_write() -> None:
    watched = Watched()
    transport = joining(watched)

    transport.write(HEAD)
    transport.write(b"body")
    transport.write(b"more")

    assert watched.writes == [HEAD + b"body", b"more"]


async def test_a_head_that_nothing_follows_leaves_when_the_loop_comes_round() -> None:
    watched = Watched()
    transport = joining(watched)

    transport.write(HEAD)
    assert watched.writes == []
    await asyncio.sleep(0)
    transport.write(b"late")

    assert watched.writes == [HEAD, b"late"]


async def test_closing_loses_no_head() -> None:
    watched = Watched()
    transport = joining(watched)

    transport.write(HEAD)
    transport.close()
    await asyncio.sleep(0)

    assert watched.writes == [HEAD]
    assert watched.closed


def test_on_a_real_connection_bytes_keep_their_order_and_heads_join_their_bodies() -> None:
    async def talk() -> list[bytes]:
        received: list[bytes] = []

        class Answering(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                joined = JoiningTransport(cast(asyncio.Transport, transport), asyncio.get_running_loop())
                joined.write(HEAD)
                joined.write(b"body")

        server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        received.append(await reader.read(65536))
        writer.close()
        server.close()
        return received

    assert uvloop.run(talk()) == [HEAD + b"body"]
