"""The sandbox provider as one plain ASGI application: no framework, because the benchmarks measure against it.

Invariant: a chat or embedding call is recorded before anything can go wrong with it. Needs any Bearer key but BAD_KEY.
"""

from typing import Any
from urllib.parse import parse_qs

import orjson

from tt_sandbox.provider import chat, embeddings
from tt_sandbox.provider.records import PAGE_MAX, Call, CallLog
from tt_sandbox.provider.switches import SwitchBoard, SwitchError, Switches
from tt_sandbox.provider.wire import (
    BodyTooLarge,
    ClientGone,
    Exchange,
    Headers,
    Message,
    Receive,
    Send,
    error_body,
    read_body,
    send_json,
)

BAD_KEY = b"sk-sandbox-bad"
MODELS = (
    "gpt-4o-mini",
    "gpt-4o",
    "llama-3.1-70b",
    "text-embedding-3-small",
    "text-embedding-3-large",
    "nomic-embed-text",
    "mxbai-embed-large",
)
MODELS_BODY = orjson.dumps(
    {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "sandbox"} for name in MODELS],
    }
)
CALL_PATHS = ("/v1/chat/completions", "/v1/embeddings")


class SandboxProvider:
    """The ASGI application with its own call log and switch board."""

    def __init__(self) -> None:
        self.log = CallLog()
        self.board = SwitchBoard()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]
        try:
            if method == "POST" and path in CALL_PATHS:
                await self._call(path, scope["headers"], receive, send)
            elif path in ("/healthz", "/readyz"):
                await send_json(send, 200, b'{"status":"ok"}')
            elif path == "/v1/models" and method == "GET":
                refusal = _refusal(_header(scope["headers"], b"authorization"))
                await send_json(send, 401 if refusal else 200, refusal or MODELS_BODY)
            elif path.startswith("/sandbox/"):
                await self._control(method, path, scope["query_string"], receive, send)
            else:
                await send_json(send, 404, error_body(404, f"Invalid URL ({method} {path})", "unknown_url"))
        except ClientGone:
            return

    async def _call(self, path: str, headers: Headers, receive: Receive, send: Send) -> None:
        authorization = request_id = traceparent = None
        for name, value in headers:
            if name == b"authorization":
                authorization = value
            elif name == b"x-client-request-id":
                request_id = value.decode("latin-1")
            elif name == b"traceparent":
                traceparent = value.decode("latin-1")
        call = self.log.open(path, request_id, traceparent)
        exchange = Exchange(call, receive, send)
        try:
            refusal = _refusal(authorization)
            body = await read_body(receive)
            if refusal is not None:
                await exchange.answer(401, refusal)
            else:
                await self._serve(exchange, body)
        except ClientGone:
            call.client_disconnected = True
        except BodyTooLarge:
            await exchange.answer(413, error_body(413, "Request body too large."))
        finally:
            exchange.release()
            self.log.close(call)

    async def _serve(self, exchange: Exchange, raw: bytes) -> None:
        call = exchange.call
        try:
            body: dict[str, Any] = orjson.loads(raw)
            model: Any = body.get("model") if type(body) is dict else None
        except orjson.JSONDecodeError:
            await exchange.answer(400, error_body(400, "We could not parse the JSON body of your request."))
            return
        if not isinstance(model, str) or not model:
            await exchange.answer(400, error_body(400, "you must provide a model parameter"))
            return
        call.model = model
        try:
            switches = self.board.read(body, model)
            call.label = switches.label
            if await self._broke(exchange, switches):
                return
            if call.path == "/v1/embeddings":
                await _answer_embeddings(exchange, model, body, switches)
            else:
                await _answer_chat(exchange, model, body, switches)
        except (SwitchError, chat.ChatRequestError, embeddings.EmbeddingRequestError) as error:
            await exchange.answer(400, error_body(400, str(error)))

    async def _broke(self, exchange: Exchange, switches: Switches) -> bool:
        """Waits and fails as asked. True when the call has been answered."""
        if switches.hang:
            await exchange.wait(None)
        if switches.delay_ms:
            await exchange.wait(switches.delay_ms / 1000)
        status = self.board.failure_due(switches)
        if status is not None:
            headers = None if switches.retry_after is None else [(b"retry-after", b"%g" % switches.retry_after)]
            message = switches.fail_message or f"The sandbox was asked to fail with {status}."
            await exchange.answer(status, error_body(status, message), headers)
            return True
        if switches.malformed:
            await exchange.answer(200, b"<html><body>This is not JSON.</body></html>")
            return True
        return False

    async def _control(self, method: str, path: str, query: bytes, receive: Receive, send: Send) -> None:
        """The tests' own door: records and faults."""
        status, answer = 200, b"{}"
        if (method, path) == ("GET", "/sandbox/calls"):
            since = parse_qs(query.decode("latin-1")).get("since", ["0"])[0]
            calls = self.log.since(int(since) if since.isdigit() else 0)
            answer = orjson.dumps({"calls": [call._asdict() for call in calls], "more": len(calls) == PAGE_MAX})
        elif (method, path) == ("DELETE", "/sandbox/calls"):
            self.log.clear()
        elif (method, path) == ("GET", "/sandbox/faults"):
            answer = orjson.dumps(self.board.faults)
        elif (method, path) == ("DELETE", "/sandbox/faults"):
            self.board.clear()
        elif (method, path) == ("POST", "/sandbox/faults"):
            status, answer = self._set_fault(await read_body(receive))
        else:
            status, answer = 404, error_body(404, f"Invalid URL ({method} {path})", "unknown_url")
        await send_json(send, status, answer)

    def _set_fault(self, raw: bytes) -> tuple[int, bytes]:
        try:
            fields = orjson.loads(raw)
            self.board.set_fault(fields.pop("model"), fields)
        except (orjson.JSONDecodeError, AttributeError, KeyError):
            return 400, error_body(400, 'a fault is {"model": "...", <switch>: <value>, ...}')
        except SwitchError as error:
            return 400, error_body(400, str(error))
        return 200, orjson.dumps(self.board.faults)


async def _answer_chat(exchange: Exchange, model: str, body: dict[str, Any], switches: Switches) -> None:
    call = exchange.call
    plan = chat.ChatPlan(call.seq, model, body, switches)
    call.id, call.prompt_tokens, call.stream = plan.id, plan.prompt_tokens, bool(body.get("stream"))
    if call.stream:
        await chat.answer_stream(exchange, plan)
    else:
        await chat.answer_whole(exchange, plan)


async def _answer_embeddings(exchange: Exchange, model: str, body: dict[str, Any], switches: Switches) -> None:
    call: Call = exchange.call
    answer, tokens = embeddings.embed(model, body, switches)
    call.id, call.prompt_tokens = f"embd-sandbox{call.seq:012d}", tokens
    await exchange.answer(200, answer)


def _header(headers: Headers, name: bytes) -> bytes | None:
    return next((value for key, value in headers if key == name), None)


def _refusal(authorization: bytes | None) -> bytes | None:
    """The 401's body, or None when the key will do."""
    if authorization is None or not authorization.startswith(b"Bearer ") or not authorization[7:].strip():
        return error_body(401, "You didn't provide an API key.", None)
    if authorization[7:] == BAD_KEY:
        return error_body(401, "Incorrect API key provided: sk-sand*****-bad.", "invalid_api_key")
    return None
