"""The yardstick: a bare Starlette + aiohttp passthrough. `python -m tests.bench.passthrough PORT PROVIDER_URL`.

The least that relays: no keys, no money, no journal, no log. Streams are relayed as they come, whole answers in one piece. A plain
ASGI endpoint, since Starlette's own responses would slow the yardstick down.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

PROVIDER_KEY = "sk-sandbox"
KEEP_ALIVE_S = 100


class Relay:
    """An ASGI endpoint that asks the provider and hands on what it says."""

    def __init__(self, provider_url: str) -> None:
        self._url = f"{provider_url}/chat/completions"
        self._headers = {"authorization": f"Bearer {PROVIDER_KEY}", "content-type": "application/json"}
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as self._session:
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._session is not None
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        async with self._session.post(self._url, data=body, headers=self._headers) as answer:
            kind = (b"content-type", answer.headers["content-type"].encode())
            if answer.content_length is not None:
                whole = await answer.read()
                head = [kind, (b"content-length", b"%d" % len(whole))]
                await send({"type": "http.response.start", "status": answer.status, "headers": head})
                await send({"type": "http.response.body", "body": whole})
                return
            await send({"type": "http.response.start", "status": answer.status, "headers": [kind]})
            async for data in answer.content.iter_any():
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


async def ready(_: Request) -> PlainTextResponse:
    return PlainTextResponse("ready")


def main(port: int, provider_url: str) -> None:
    """Serves until SIGTERM."""
    relay = Relay(provider_url)
    routes = [Route("/readyz", ready), Route("/v1/chat/completions", relay, methods=["POST"])]
    uvicorn.run(
        Starlette(routes=routes, lifespan=relay.lifespan),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
