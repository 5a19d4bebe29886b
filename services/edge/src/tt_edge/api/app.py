"""The edge's ASGI app: model calls go straight to the hot path, everything else through FastAPI.

A plain ASGI dispatch in front costs a dict look-up; FastAPI's routing would cost more than the rest of the gateway.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message

from tt_common.errors import DomainError
from tt_common.ids import new_event_id
from tt_common.web.health import Check, health_router
from tt_common.web.metrics import MetricsSource, metrics_router
from tt_edge.api.browsers import allow, asks_first, names_origin, open_to_pages
from tt_edge.api.models import models_router
from tt_edge.protocols.anthropic.protocol import ANTHROPIC
from tt_edge.protocols.endpoints import (
    ANTHROPIC_PREFIX,
    COUNTS,
    ENDPOINTS,
    MEDIA,
    Endpoint,
    MediaEndpoint,
    find_endpoint,
    protocol_of,
)
from tt_edge.protocols.errors import error_headers, error_status
from tt_edge.protocols.exchange import Exchange, Receive, Scope, Send
from tt_edge.protocols.gemini.paths import is_gemini_path, meant_path
from tt_edge.usecases.count_tokens import count_tokens
from tt_edge.usecases.gateway import Gateway
from tt_edge.usecases.relay_call import relay_call
from tt_edge.usecases.relay_media import relay_media

HEALTH_PATHS = frozenset({"/healthz", "/readyz"})
KNOWN_PATHS = (*ENDPOINTS, *MEDIA, *COUNTS, "/v1/models", "/v1beta/models", f"{ANTHROPIC_PREFIX}/v1/models")
REQUEST_ID = "tt_request_id"
"""Where a request's scope carries its id for the handlers of errors."""
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class EdgeApp:
    """POST on a model path is relayed; the rest is FastAPI's. The gateway comes with the lifespan."""

    def __init__(
        self,
        lifespan: Callable[["EdgeApp"], AsyncIterator[None]],
        checks: dict[str, Check],
        metrics: MetricsSource,
    ) -> None:
        from contextlib import asynccontextmanager

        self.gateway: Gateway | None = None

        @asynccontextmanager
        async def run(_: FastAPI) -> AsyncIterator[None]:
            async for _ignored in lifespan(self):
                yield

        self._rest: ASGIApp = rest_app(self, run, checks, metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and names_origin(scope):
            if asks_first(scope):
                await allow(scope, send)
                return
            send = open_to_pages(send)
        if (
            scope["type"] == "http"
            and scope["method"] == "POST"
            and self.gateway is not None
            and (endpoint := find_endpoint(scope["path"])) is not None
        ):
            exchange = Exchange(scope, receive, send)
            if isinstance(endpoint, Endpoint):
                await relay_call(self.gateway, exchange, endpoint)
            elif isinstance(endpoint, MediaEndpoint):
                await relay_media(self.gateway, exchange, endpoint)
            else:
                await count_tokens(self.gateway, exchange, endpoint)
        elif scope["type"] == "http" and scope["path"] not in HEALTH_PATHS:
            await self._rest(scope, receive, _with_request_id(scope, send))
        else:
            await self._rest(scope, receive, send)


def _with_request_id(scope: Scope, send: Send) -> Callable[[Message], Awaitable[None]]:
    request_id = scope[REQUEST_ID] = new_event_id()
    protocol = protocol_of(scope["path"], dict(scope["headers"]))
    headers = [
        (b"x-tt-request-id", request_id.encode()),
        (b"x-request-id", request_id.encode()),
        *protocol.answer_headers(request_id.encode(), []),
    ]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *headers]
        await send(message)

    return sending


def rest_app(edge: EdgeApp, lifespan: Lifespan, checks: dict[str, Check], metrics: MetricsSource) -> FastAPI:
    """Health, metrics, models, and every path that is none of ours."""
    app = FastAPI(title="TokenTally edge", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(health_router(checks))
    app.include_router(metrics_router(metrics))
    app.include_router(models_router(edge))

    @app.exception_handler(DomainError)
    async def refused(request: Request, error: DomainError) -> Response:
        return error_response(request, error)

    @app.exception_handler(HTTPException)
    async def not_found(request: Request, error: HTTPException) -> Response:
        path = request.url.path
        is_call = find_endpoint(path) is not None
        if is_call or (error.status_code == 405 and not (is_gemini_path(path) and meant_path(path) != path)):
            right = "POST" if is_call else "GET"
            wrong = DomainError("method_not_allowed", f"{request.method} is not allowed on {path}; use {right}.")
            return error_response(request, wrong)
        return error_response(request, DomainError("not_found", not_found_message(request.method, path)))

    return app


def error_response(request: Request, error: DomainError) -> Response:
    """The error in the shape of the protocol that the path belongs to."""
    scope = request.scope
    protocol = protocol_of(scope["path"], dict(scope["headers"]))
    headers = {name.decode(): value.decode() for name, value in error_headers(error) + protocol.error_headers(error)}
    body = protocol.error_body(error, scope.get(REQUEST_ID, ""))
    return Response(body, error_status(error), headers, media_type="application/json")


def not_found_message(method: str, path: str) -> str:
    """Names the path that was probably meant: one `/v1` too few or too many, another vendor's prefix, a slash twice."""
    if is_gemini_path(path) and (meant := meant_path(path)) is not None:
        return _meant(method, path, meant, "/v1beta")
    parts = [part for part in path.split("/") if part]
    for known in KNOWN_PATHS:
        endpoint = known.split("/")[2:]
        if parts[-len(endpoint) :] == endpoint:
            return _meant(method, path, known)
    while parts and parts[0] == "v1":
        parts.pop(0)
    if parts and parts[0] == "models":
        return _meant(method, path, "/".join(["/v1", *parts]))
    return f"There is no {method} {path}. Paths: {', '.join(KNOWN_PATHS)}."


def _meant(method: str, path: str, meant: str, version: str = "/v1") -> str:
    base = "ends without /v1" if protocol_of(meant, {}) is ANTHROPIC else f"ends with one {version}"
    return f"There is no {method} {path}. The path is {meant}; the base URL {base}."
