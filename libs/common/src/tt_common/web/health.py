"""GET /healthz (the process lives) and GET /readyz (it can do its work; else 503 and why). Neither needs a key."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse

Check = Callable[[], Awaitable[str | None]]
"""None where all is well, else a short reason."""


def health_router(checks: dict[str, Check]) -> APIRouter:
    """Routes for /healthz and /readyz; every check is run on each /readyz."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz", response_model=None)
    async def readyz() -> JSONResponse:
        reasons = {name: reason for name, check in checks.items() if (reason := await check()) is not None}
        if reasons:
            return JSONResponse({"status": "not ready", "reasons": reasons}, status_code=503)
        return JSONResponse({"status": "ready"})

    return router
