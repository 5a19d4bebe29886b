"""GET /v1/models and /v1/models/{id}: what this key may use, in OpenAI's shape."""

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request

from tt_common.errors import DomainError
from tt_edge.protocols.exchange import Exchange
from tt_edge.protocols.openai.protocol import OPENAI
from tt_edge.usecases.authenticate import authenticate
from tt_edge.usecases.list_models import find_model, list_models

if TYPE_CHECKING:
    from tt_edge.api.app import EdgeApp


def models_router(edge: "EdgeApp") -> APIRouter:
    """Routes of the model list."""
    router = APIRouter(tags=["models"])

    @router.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        gateway = edge.gateway
        if gateway is None:
            raise DomainError("not_ready", "The gateway is starting.", retry_after_s=1)
        key = await authenticate(gateway, Exchange(request.scope, request.receive, request._send), OPENAI)
        return {"object": "list", "data": list_models(gateway, key)}

    @router.get("/v1/models/{model_id:path}")
    async def model(model_id: str, request: Request) -> dict[str, Any]:
        gateway = edge.gateway
        if gateway is None:
            raise DomainError("not_ready", "The gateway is starting.", retry_after_s=1)
        key = await authenticate(gateway, Exchange(request.scope, request.receive, request._send), OPENAI)
        return find_model(gateway, key, model_id)

    return router
