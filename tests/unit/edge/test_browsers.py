"""Pages in a browser may call the edge, whatever their origin; calls of other clients say nothing of it."""

from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tt_edge.api.app import EdgeApp

Headers = list[tuple[bytes, bytes]]


async def asked(method: str, path: str, headers: Headers) -> tuple[int, dict[bytes, bytes]]:
    async def no_lifespan(_: EdgeApp) -> AsyncIterator[None]:
        yield

    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "http_version": "1.1",
    }
    await EdgeApp(no_lifespan, {}, CollectorRegistry())(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"])


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/messages", "/v1beta/models/x:generateContent", "/v1/models"]
)
async def test_a_page_that_asks_first_may_send_what_it_wants(path: str) -> None:
    wanted = b"authorization,content-type,x-stainless-lang"
    asking: Headers = [(b"access-control-request-method", b"POST"), (b"access-control-request-headers", wanted)]
    status, headers = await asked("OPTIONS", path, [(b"origin", b"https://chat.test"), *asking])

    assert status == 204
    assert headers[b"access-control-allow-origin"] == b"*"
    assert headers[b"access-control-allow-headers"] == wanted
    assert b"POST" in headers[b"access-control-allow-methods"]
    assert b"access-control-allow-credentials" not in headers


async def test_a_page_may_read_errors_too() -> None:
    status, headers = await asked("GET", "/no/such/path", [(b"origin", b"null")])
    assert status == 404
    assert headers[b"access-control-allow-origin"] == b"*"
    assert b"x-tt-request-id" in headers[b"access-control-expose-headers"]


async def test_other_clients_get_no_such_headers() -> None:
    _, headers = await asked("GET", "/no/such/path", [])
    assert not [name for name in headers if name.startswith(b"access-control")]


async def test_options_without_a_page_is_a_wrong_method() -> None:
    status, _ = await asked("OPTIONS", "/v1/chat/completions", [])
    assert status == 405
