"""The one place where a code becomes a status and a body: `{"error": {"code", "message", "param"?}}`.

Unknown codes are 400: a rule said no. Anything unexpected is 500 without its text.
"""

import logging
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from tt_common.errors import DomainError

log = logging.getLogger(__name__)

STATUS_OF: Final = {
    "not_signed_in": 401,
    "wrong_credentials": 401,
    "csrf_failed": 403,
    "origin_refused": 403,
    "not_allowed": 403,
    "key_not_found": 404,
    "account_not_found": 404,
    "model_not_found": 404,
    "provider_not_found": 404,
    "receipt_not_found": 404,
    "deposit_not_found": 404,
    "order_not_found": 404,
    "webhook_not_found": 404,
    "delivery_not_found": 404,
    "email_taken": 409,
    "too_many_keys": 409,
    "too_many_webhooks": 409,
    "webhook_disabled": 409,
    "already_exists": 409,
    "provider_in_use": 409,
    "idempotency_conflict": 409,
    "billing_shortfall": 409,
    "invalid_state": 409,
    "address_unusable": 409,
    "too_many_attempts": 429,
    "too_many_streams": 429,
    "unavailable": 503,
    "billing_unavailable": 503,
    "deposits_unavailable": 503,
    "busy": 503,
}
RETRY_AFTER_S: Final = 2
_NAMES_OF_STATUS: Final = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}


def install_error_shapes(app: FastAPI) -> None:
    """Every error of the application leaves in the one shape."""
    app.add_exception_handler(DomainError, _domain)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def error_response(
    status: int, code: str, message: str, param: str | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    """The one shape."""
    error = {"code": code, "message": message} | ({"param": param} if param else {})
    return JSONResponse({"error": error}, status_code=status, headers=headers)


async def _domain(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DomainError)
    status = STATUS_OF.get(error.code, 400)
    headers = {}
    if status in (429, 503):
        headers["Retry-After"] = str(error.data.get("retry_after_s", RETRY_AFTER_S))
    return error_response(status, error.code, error.message, error.data.get("param"), headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    if first["type"] == "json_invalid":
        return error_response(400, "invalid_json", "the body is not JSON")
    place = [str(part) for part in first["loc"]]
    param = ".".join(place[1:] or place)
    return error_response(400, "invalid_request", f"{param}: {first['msg']}", param)


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = _NAMES_OF_STATUS.get(error.status_code, "invalid_request")
    message = "there is nothing at this path" if code == "not_found" else str(error.detail)
    return error_response(error.status_code, code, message, headers=dict(error.headers or {}))


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("request failed", extra={"path": request.url.path, "error": type(error).__name__})
    return error_response(500, "internal", "something went wrong here")
