"""Domain errors in OpenAI's shape: status, `{"error":{message,type,param,code}}`, and the headers that SDKs obey."""

import math
from typing import Any, Final

import msgspec

from tt_common.clock import rfc3339
from tt_common.errors import DomainError
from tt_common.money import format_usd

_SHAPES: Final[dict[str, tuple[int, str, str | None]]] = {
    "invalid_request": (400, "invalid_request_error", None),
    "invalid_api_key": (401, "invalid_request_error", "invalid_api_key"),
    "billing_shortfall": (402, "insufficient_quota", "billing_shortfall"),
    "api_key_quota_exceeded": (402, "insufficient_quota", "api_key_quota_exceeded"),
    "model_not_allowed": (403, "invalid_request_error", "model_not_allowed"),
    "model_not_found": (404, "invalid_request_error", "model_not_found"),
    "not_found": (404, "invalid_request_error", "not_found"),
    "method_not_allowed": (405, "invalid_request_error", "method_not_allowed"),
    "idempotency_in_progress": (409, "invalid_request_error", "idempotency_in_progress"),
    "idempotency_reply_gone": (409, "invalid_request_error", "idempotency_reply_gone"),
    "request_too_large": (413, "invalid_request_error", "request_too_large"),
    "idempotency_conflict": (422, "invalid_request_error", "idempotency_conflict"),
    "rate_limit_exceeded": (429, "requests", "rate_limit_exceeded"),
    "upstream_error": (502, "server_error", "upstream_error"),
    "all_providers_unavailable": (503, "server_error", "all_providers_unavailable"),
    "billing_unavailable": (503, "server_error", "billing_unavailable"),
    "journal_unavailable": (503, "server_error", "journal_unavailable"),
    "idempotency_unavailable": (503, "server_error", "idempotency_unavailable"),
    "not_ready": (503, "server_error", "not_ready"),
    "upstream_timeout": (504, "server_error", "upstream_timeout"),
}
RETRY_AFTER_S: Final = 1
"""Where the error itself names no time."""
REFUSAL_CHARS_MAX: Final = 2000
_INTERNAL: Final = (500, "server_error", "internal_error")
_NO_RETRY: Final = frozenset(
    {"billing_shortfall", "api_key_quota_exceeded", "idempotency_reply_gone", "idempotency_conflict"}
)


def error_status(error: DomainError) -> int:
    return _SHAPES.get(error.code, _INTERNAL)[0]


def error_body(error: DomainError) -> bytes:
    """The JSON body."""
    _, kind, code = _SHAPES.get(error.code, _INTERNAL)
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


def error_headers(error: DomainError) -> list[tuple[bytes, bytes]]:
    """Retry-After where waiting helps, `x-should-retry: false` where SDKs would retry in vain."""
    headers: list[tuple[bytes, bytes]] = []
    retry_after_s = error.data.get("retry_after_s", RETRY_AFTER_S if error_status(error) in (429, 503) else None)
    if retry_after_s is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(retry_after_s))).encode()))
    if error.code in _NO_RETRY or error.data.get("hopeless"):
        headers.append((b"x-should-retry", b"false"))
    return headers


def error_message(error: DomainError) -> str:
    """The sentence for people, with the figures where the code has some."""
    data = error.data
    if error.code == "billing_shortfall" and "need_nanousd" in data:
        missing = max(0, int(data["need_nanousd"]) - int(data.get("available_nanousd", 0)))
        return f"Your balance can't cover this call: ${format_usd(missing)} is missing. Please top up your wallet."
    if error.code == "api_key_quota_exceeded" and "resets_at_ms" in data:
        limit = format_usd(int(data.get("limit_nanousd", 0)))
        return f"This key's monthly limit of ${limit} is reached; it resets at {rfc3339(int(data['resets_at_ms']))}."
    if error.code == "rate_limit_exceeded" and "limit_kind" in data:
        kind, limit = data["limit_kind"], data.get("limit")
        unit = "parallel calls" if kind == "concurrency" else f"{kind} per minute"
        return f"This key's limit of {limit} {unit} is reached. Please retry in {data.get('retry_after_s', 1)}s."
    return error.message


def refusal_body(status: int, body: bytes) -> bytes:
    """A provider's own refusal: as it is where it has OpenAI's shape, else its text in that shape."""
    try:
        if isinstance(msgspec.json.decode(body).get("error"), dict):
            return body
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError, RecursionError):
        pass  # HTML of a proxy, plain text, another JSON shape
    text = body[:REFUSAL_CHARS_MAX].decode(errors="replace").strip() or f"The provider refused the request ({status})."
    shape = {"message": text, "type": "invalid_request_error", "param": None, "code": None}
    return msgspec.json.encode({"error": shape})
