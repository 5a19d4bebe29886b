"""The sandbox provider as one plain ASGI application: no framework, because the benchmarks measure against it.

Invariant: a call of a vendor's endpoint is recorded before anything can go wrong with it. Knows no vendor's shapes.
"""

from typing import Any, cast
from urllib.parse import parse_qs

import orjson

from tt_sandbox.provider.control import Control
from tt_sandbox.provider.dialect import Asked, Dialect, Endpoint, RequestRefused
from tt_sandbox.provider.endpoints import Endpoints
from tt_sandbox.provider.multipart import read_form
from tt_sandbox.provider.records import CallLog
from tt_sandbox.provider.switches import SwitchBoard, SwitchError, Switches
from tt_sandbox.provider.wire import (
    BodyTooLarge,
    ClientGone,
    Exchange,
    Headers,
    Message,
    Receive,
    Send,
    read_body,
    send_whole,
)


class SandboxProvider:
    """The ASGI application with its own call log and switch board."""

    def __init__(self) -> None:
        self.log = CallLog()
        self.board = SwitchBoard()
        self._endpoints = Endpoints()
        self._control = Control(self.log, self.board)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]
        try:
            if method == "POST" and (endpoint := self._endpoints.find(path)) is not None:
                await self._call(endpoint, scope, receive, send)
            elif path in ("/healthz", "/readyz"):
                await send_whole(send, 200, b'{"status":"ok"}')
            elif path.startswith("/sandbox/"):
                await self._control(method, path, scope["query_string"], receive, send)
            else:
                await send_whole(send, *self._endpoints.serve(method, path, dict(scope["headers"]), _query(scope)))
        except ClientGone:
            return

    async def _call(self, endpoint: Endpoint, scope: Message, receive: Receive, send: Send) -> None:
        dialect = endpoint.dialect
        headers: dict[bytes, bytes] = dict(scope["headers"])
        call = self.log.open(
            scope["path"], _text(headers, b"x-client-request-id"), _text(headers, b"traceparent"), dialect.name
        )
        exchange = Exchange(call, receive, send, dialect.headers)
        query = _query(scope)
        try:
            # Read first: a refusal that leaves a body unread would cost the client its connection.
            form = await read_form(receive, headers.get(b"content-type", b"")) if endpoint.takes_form else None
            raw = await read_body(receive) if form is None else b""
            dialect.admit(headers, query)
            body = _decode(raw) if form is None else form.body
            model = _model(body, endpoint)
            call.model = model
            switches = self.board.read(body, model)
            call.label = switches.label
            if not await self._broke(endpoint, exchange, switches):
                await endpoint.answer(
                    exchange, Asked(model, body, switches, headers, query, form.files if form else {})
                )
        except ClientGone:
            call.client_disconnected = True
        except BodyTooLarge:
            await _refuse(exchange, dialect, RequestRefused("Request body too large.", 413))
        except SwitchError as error:
            await _refuse(exchange, dialect, RequestRefused(str(error)))
        except RequestRefused as error:
            await _refuse(exchange, dialect, error)
        finally:
            exchange.release()
            self.log.close(call)

    async def _broke(self, endpoint: Endpoint, exchange: Exchange, switches: Switches) -> bool:
        """Waits and fails as asked. True when the call has been answered."""
        if switches.hang:
            await exchange.wait(None)
        if switches.delay_ms:
            await exchange.wait(switches.delay_ms / 1000)
        status = self.board.failure_due(switches)
        if status is not None:
            dialect = endpoint.dialect
            headers: Headers = []
            if switches.retry_after is not None:
                exchange.call.retry_after_s = switches.retry_after
                headers.append((b"retry-after", b"%g" % switches.retry_after))
            message = switches.fail_message or f"The sandbox was asked to fail with {status}."
            await _refuse(exchange, dialect, RequestRefused(message, status), headers)
            return True
        if switches.malformed:
            await exchange.answer(200, b"<html><body>This is not JSON.</body></html>")
            return True
        return False


async def _refuse(
    exchange: Exchange, dialect: Dialect, refused: RequestRefused, headers: Headers | None = None
) -> None:
    await exchange.answer(refused.status, dialect.error(refused, exchange.call), headers)


def _decode(raw: bytes) -> dict[str, Any]:
    """Raises RequestRefused."""
    try:
        body: Any = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise RequestRefused("We could not parse the JSON body of your request.") from None
    if type(body) is not dict:
        raise RequestRefused("The body must be a JSON object.")
    return cast("dict[str, Any]", body)


def _model(body: dict[str, Any], endpoint: Endpoint) -> str:
    """Raises RequestRefused."""
    model: Any = endpoint.model or body.get("model")
    if not isinstance(model, str) or not model:
        raise RequestRefused(endpoint.dialect.no_model)
    return model


def _text(headers: dict[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")


def _query(scope: Message) -> dict[str, list[str]]:
    query: bytes = scope["query_string"]
    return parse_qs(query.decode("latin-1")) if query else {}
