"""GET /v1/models and /v1beta/models, and one model below each: what this key may use, in the shape of the caller's protocol."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request

from tt_common.contracts.records import KeyRecord, ModelRecord
from tt_common.errors import DomainError
from tt_edge.protocols.anthropic import models as anthropic
from tt_edge.protocols.endpoints import protocol_of
from tt_edge.protocols.exchange import Exchange
from tt_edge.protocols.gemini import models as gemini
from tt_edge.protocols.openai import models as openai
from tt_edge.protocols.port import ClientProtocol, ProtocolName
from tt_edge.usecases.authenticate import authenticate
from tt_edge.usecases.gateway import Gateway
from tt_edge.usecases.list_models import find_model, list_models

if TYPE_CHECKING:
    from tt_edge.api.app import EdgeApp

LISTS: Final[dict[ProtocolName, Callable[[list[ModelRecord], bytes], dict[str, Any]]]] = {
    "openai": lambda models, _: openai.models_body(models),
    "anthropic": anthropic.models_body,
    "gemini": lambda models, _: gemini.models_body(models),
}
"""By the models and the query, which may ask for a page."""
ONE: Final[dict[ProtocolName, Callable[[ModelRecord], dict[str, Any]]]] = {
    "openai": openai.model_body,
    "anthropic": anthropic.model_body,
    "gemini": gemini.model_body,
}


def models_router(edge: "EdgeApp") -> APIRouter:
    """Routes of the model list."""
    router = APIRouter(tags=["models"])

    async def admitted(request: Request) -> tuple[Gateway, KeyRecord, ClientProtocol]:
        gateway = edge.gateway
        if gateway is None:
            raise DomainError("not_ready", "The gateway is starting.", retry_after_s=1)
        exchange = Exchange(request.scope, request.receive, request._send)
        protocol = protocol_of(exchange.path, exchange.headers)
        return gateway, await authenticate(gateway, exchange, protocol), protocol

    @router.get("/v1beta/models")
    @router.get("/anthropic/v1/models")
    @router.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        gateway, key, protocol = await admitted(request)
        return LISTS[protocol.name](list_models(gateway, key), request.scope["query_string"])

    @router.get("/v1beta/models/{model_id:path}")
    @router.get("/anthropic/v1/models/{model_id:path}")
    @router.get("/v1/models/{model_id:path}")
    async def model(model_id: str, request: Request) -> dict[str, Any]:
        gateway, key, protocol = await admitted(request)
        return ONE[protocol.name](find_model(gateway, key, model_id))

    return router
