"""Domain errors in OpenAI's shape: `{"error":{message,type,param,code}}`."""

from typing import Any, Final

import msgspec

from tt_common.errors import DomainError
from tt_edge.protocols.errors import STATUSES, error_message, error_status, refusal_message

_SHAPES: Final[dict[str, tuple[str, str | None]]] = {
    "invalid_request": ("invalid_request_error", None),
    "billing_shortfall": ("insufficient_quota", "billing_shortfall"),
    "api_key_quota_exceeded": ("insufficient_quota", "api_key_quota_exceeded"),
    "rate_limit_exceeded": ("requests", "rate_limit_exceeded"),
}
"""`type` and `code` of errors whose code is not their own name."""


def error_body(error: DomainError) -> bytes:
    """The JSON body."""
    kind, code = _SHAPES.get(error.code, ("", error.code if error.code in STATUSES else "internal_error"))
    if not kind:
        kind = "server_error" if error_status(error) >= 500 else "invalid_request_error"
    if error.code == "rate_limit_exceeded":
        kind = str(error.data.get("limit_kind", kind))
    body: dict[str, Any] = {
        "message": error_message(error),
        "type": kind,
        "param": error.data.get("param"),
        "code": code,
    }
    return msgspec.json.encode({"error": body})


def error_event(error: DomainError) -> bytes:
    """The same as an event in a stream that has begun; the stream ends after it."""
    return b"data: " + error_body(error) + b"\n\n"


def refusal_body(status: int, body: bytes) -> bytes:
    """A provider's own refusal: as it is where it has OpenAI's shape, else its text in that shape."""
    try:
        if isinstance(msgspec.json.decode(body).get("error"), dict):
            return body
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError, RecursionError):
        pass  # HTML of a proxy, plain text, another JSON shape
    shape = {"message": refusal_message(status, body), "type": "invalid_request_error", "param": None, "code": None}
    return msgspec.json.encode({"error": shape})
