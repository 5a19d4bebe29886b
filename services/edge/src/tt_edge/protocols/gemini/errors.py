"""Domain errors in Google's shape: `{"error":{code,message,status,details}}`, with the details that Google's clients read."""

from typing import Any, Final

import msgspec

from tt_common.errors import DomainError
from tt_edge.protocols.errors import error_headers, error_message, error_status, refusal_message

STATUSES: Final[dict[int, str]] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    422: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
REASONS: Final = {"invalid_api_key": "API_KEY_INVALID"}
"""Google's own names; other reasons are the error's code in capitals."""
TYPES: Final = "type.googleapis.com/google.rpc."
DOMAIN: Final = "tokentally"


def error_body(error: DomainError) -> bytes:
    """The JSON body."""
    status = error_status(error)
    return msgspec.json.encode(
        {
            "error": {
                "code": status,
                "message": error_message(error),
                "status": STATUSES.get(status, "INTERNAL"),
                "details": _details(error),
            }
        }
    )


def error_event(error: DomainError) -> bytes:
    """The same as an event in a stream that has begun; the stream ends after it."""
    return b"data: " + error_body(error) + b"\n\n"


def refusal_body(status: int, body: bytes) -> bytes:
    """A provider's own refusal: as it is where it has Google's shape, else its text in that shape."""
    try:
        if isinstance(msgspec.json.decode(body).get("error"), dict):
            return body
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError, RecursionError):
        pass  # HTML of a proxy, plain text, another JSON shape
    shape = {"code": status, "message": refusal_message(status, body), "status": STATUSES.get(status, "INTERNAL")}
    return msgspec.json.encode({"error": shape})


def _details(error: DomainError) -> list[dict[str, Any]]:
    reason = REASONS.get(error.code, error.code.upper())
    details: list[dict[str, Any]] = [{"@type": TYPES + "ErrorInfo", "reason": reason, "domain": DOMAIN}]
    if param := error.data.get("param"):
        violation = {"field": str(param), "description": error_message(error)}
        details.append({"@type": TYPES + "BadRequest", "fieldViolations": [violation]})
    if error.code == "rate_limit_exceeded":
        kind = str(error.data.get("limit_kind", "requests"))
        violation = {"subject": kind, "description": error_message(error), "quotaValue": str(error.data.get("limit"))}
        details.append({"@type": TYPES + "QuotaFailure", "violations": [violation]})
    retry_after = dict(error_headers(error)).get(b"retry-after")
    if retry_after is not None:
        details.append({"@type": TYPES + "RetryInfo", "retryDelay": f"{retry_after.decode()}s"})
    return details
