"""How long and how large a request may be on its way in: uvicorn with our protocol, on a real socket."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from tt_common.web import guarded_http
from tt_common.web.guarded_http import GuardedHttp

PATIENCE_S = 0.15
HEAD = b"POST / HTTP/1.1\r\nHost: e\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the whole body and answers with its length and the number of headers."""
    size, headers = 0, scope["headers"]
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = b"%d bytes, %d headers" % (size, len(headers))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """A server that waits for nobody longer than PATIENCE_S."""
    monkeypatch.setattr(GuardedHttp, "patience_s", PATIENCE_S)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=GuardedHttp, ws="none", lifespan="off", log_config=None)  # pyright: ignore[reportArgumentType]
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    yield listener.getsockname()[1]
    server.should_exit = True
    await serving
    listener.close()


async def ask(port: int, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """All that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(5):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause_s)
            return await reader.read()
    except (ConnectionResetError, BrokenPipeError):
        return b"reset"
    finally:
        writer.close()


async def test_a_connection_that_says_nothing_is_closed(port: int) -> None:
    assert await ask(port) == b""


async def test_a_head_that_is_never_finished_is_given_up(port: int) -> None:
    answer = await ask(port, HEAD)

    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_head_that_drips_is_given_up(port: int) -> None:
    answer = await ask(port, HEAD, *([b"X-Drip: 1\r\n"] * 20), pause_s=PATIENCE_S / 5)

    assert answer == b"reset" or answer.startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_drips_is_given_up(port: int) -> None:
    answer = await ask(port, HEAD + b"Content-Length: 100\r\n\r\n", *([b"x"] * 20), pause_s=PATIENCE_S / 5)

    assert answer == b"reset" or answer.startswith(b"HTTP/1.1 408 ")


async def test_a_second_request_that_drips_is_given_up_too(port: int) -> None:
    answer = await ask(port, HEAD + b"Content-Length: 0\r\n\r\n", HEAD)

    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert answer.count(b"HTTP/1.1 408 ") == 1


async def test_a_body_that_comes_steadily_may_take_longer(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded_http, "BYTES_PER_S_MIN", 1000)
    parts = [b"x" * 100] * 10

    # 1,000 bytes buy a second, and it takes a third of one.
    answer = await ask(
        port, HEAD + b"Connection: close\r\nContent-Length: 1000\r\n\r\n", *parts, pause_s=PATIENCE_S / 5
    )

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"1000 bytes, 3 headers")


async def test_an_idle_connection_between_two_requests_is_left_alone(port: int) -> None:
    request = HEAD + b"Content-Length: 0\r\n"

    answer = await ask(port, request + b"\r\n", request + b"Connection: close\r\n\r\n", pause_s=2 * PATIENCE_S)

    assert answer.count(b"HTTP/1.1 200 ") == 2


async def test_a_head_over_the_limit_is_refused(port: int) -> None:
    answer = await ask(port, HEAD, *([b"X-Filler: " + b"a" * 8000 + b"\r\n"] * 50))

    assert answer == b"reset" or answer.startswith(b"HTTP/1.1 431 ")


async def test_a_large_head_within_the_limit_is_taken(port: int) -> None:
    filler = [b"X-Filler: " + b"a" * 8000 + b"\r\n"] * 7

    answer = await ask(port, HEAD, *filler, b"Content-Length: 0\r\nConnection: close\r\n\r\n")

    assert answer.endswith(b"0 bytes, 10 headers")


async def test_trailers_are_no_headers(port: int) -> None:
    chunked = HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n{}\r\n0\r\n"

    answer = await ask(port, chunked + b"X-Forwarded-For: 10.0.0.1\r\nAuthorization: Bearer x\r\n\r\n")

    assert answer.endswith(b"2 bytes, 3 headers")


async def test_after_a_request_for_an_upgrade_the_connection_ends_with_the_answer(port: int) -> None:
    upgrade = HEAD + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}"

    answer = await ask(port, upgrade)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer
