"""The nodes on the wire: decodes a request, lets its faults happen, answers. A plain ASGI application, for benchmarks scan through it.

Invariant: what a request sees is decided in one step, before anything is waited for.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tt_common.clock import now_ms
from tt_sandbox.chain import jsonrpc, wallet
from tt_sandbox.chain.faults import Fault, FaultBoard, FaultKind
from tt_sandbox.chain.jsonrpc import RpcError
from tt_sandbox.chain.ledger import Ledger
from tt_sandbox.chain.view import View
from tt_sandbox.chain.visible import made_visible
from tt_sandbox.chain.wallet import Asked, JavaError

BODY_BYTES_MAX: Final = 4 * 1024 * 1024
PREFIX: Final = "/nodes/"
JSON: Final = "application/json"
BUSY: Final = "class java.lang.IllegalAccessException : lack of computing resources"
LITE: Final = b"this API is closed because this node is a lite fullnode"
PAGE: Final = b"<html><head><title>Error</title></head><body><h2>HTTP ERROR %d</h2></body></html>"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent, if nothing goes wrong with the sending."""

    body: bytes
    status: int = 200
    media_type: str = JSON
    headers: Mapping[str, str] | None = None


class Nodes:
    """All nodes of one chain, below `/nodes/<name>`."""

    def __init__(self, ledger: Ledger, board: FaultBoard, names: tuple[str, ...]) -> None:
        self._ledger = ledger
        self._board = board
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        raw = bytearray()
        async for piece in request.stream():
            raw += piece
            if len(raw) > BODY_BYTES_MAX:
                await _page(413)(scope, receive, send)
                return
        name, _, path = scope["path"].removeprefix(PREFIX).partition("/")
        if name not in self._names:
            await _page(404)(scope, receive, send)
            return
        if path == "jsonrpc":
            answer, faults = self._rpc(name, bytes(raw))
        else:
            answer, faults = self._wallet(name, path, request, bytes(raw))
        await _tell(answer, faults, scope, receive, send)

    def _wallet(self, name: str, path: str, request: Request, raw: bytes) -> tuple[Answer, list[Fault]]:
        api, _, method = path.partition("/")
        solid = api == "walletsolidity"
        answerer = wallet.ANSWERS.get(method)
        if api not in ("wallet", "walletsolidity") or answerer is None or (solid and method in wallet.FULL_ONLY):
            return Answer(PAGE % 404, 404, "text/html"), []
        faults: list[Fault] = []
        try:
            asked = _asked(method, solid, request, raw)
            faults = self._board.take(name, method, asked.height)
            told = answerer(asked, View(self._ledger, faults, now_ms()))
        except JavaError as error:
            return Answer(orjson.dumps({"Error": str(error)})), faults
        return Answer(made_visible(told) if asked.visible else told), faults

    def _rpc(self, name: str, raw: bytes) -> tuple[Answer, list[Fault]]:
        call_id: Any = None
        faults: list[Fault] = []
        try:
            call_id, method, params = jsonrpc.read(raw)
            faults = self._board.take(name, method, None)
            value = jsonrpc.answer(method, params, View(self._ledger, faults, now_ms()))
        except RpcError as error:
            return Answer(jsonrpc.error(call_id, error)), faults
        return Answer(jsonrpc.result(call_id, value)), faults


def _asked(method: str, solid: bool, request: Request, raw: bytes) -> Asked:
    """Raises JavaError."""
    fields: dict[str, Any] = dict(parse_qsl(request.url.query))
    if request.method == "POST" and method not in wallet.BODILESS and raw.strip():
        try:
            decoded: Any = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise JavaError(f"class org.tron.json.JSONException : {error}") from None
        if not isinstance(decoded, dict):
            raise JavaError("class org.tron.json.JSONException : syntax error, expect {")
        fields |= cast("dict[str, Any]", decoded)
    return Asked(method, solid, fields, visible=fields.get("visible") in (True, "true"))


async def _tell(answer: Answer, faults: list[Fault], scope: Scope, receive: Receive, send: Send) -> None:
    kinds = {fault.kind: fault for fault in faults}
    if (slow := kinds.get(FaultKind.SLOW)) is not None:
        await asyncio.sleep(slow.asked.delay_s)
    answer = _broken(answer, kinds)
    response = Response(answer.body, answer.status, answer.headers, answer.media_type)
    if FaultKind.CUT in kinds:
        # The head promises the whole body; the connection is closed after a half of it.
        await send({"type": "http.response.start", "status": answer.status, "headers": response.raw_headers})
        half = answer.body[: len(answer.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        return
    await response(scope, receive, send)


def _broken(answer: Answer, kinds: Mapping[FaultKind, Fault]) -> Answer:
    """The answer that is given in place of the true one."""
    if (status := kinds.get(FaultKind.STATUS)) is not None:
        asked = status.asked
        headers = None if asked.retry_after_s is None else {"Retry-After": str(asked.retry_after_s)}
        return Answer(PAGE % asked.status, asked.status, "text/html", headers)
    if (error := kinds.get(FaultKind.ERROR)) is not None:
        return Answer(orjson.dumps({"Error": error.asked.message or BUSY}))
    if FaultKind.LITE in kinds:
        return Answer(LITE, media_type="text/plain")
    if FaultKind.NOT_JSON in kinds:
        return Answer(PAGE % 200, media_type="text/html")
    return answer


def _page(status: int) -> Response:
    return Response(PAGE % status, status, media_type="text/html")
