"""What every protocol says of an error alike: its status, the sentence for people, and the headers that SDKs obey."""

import math
from typing import Final

import msgspec

from tt_common.clock import rfc3339
from tt_common.errors import DomainError
from tt_common.money import format_usd

STATUSES: Final[dict[str, int]] = {
    "invalid_request": 400,
    "invalid_api_key": 401,
    "billing_shortfall": 402,
    "api_key_quota_exceeded": 402,
    "model_not_allowed": 403,
    "model_not_found": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "idempotency_in_progress": 409,
    "idempotency_reply_gone": 409,
    "request_too_large": 413,
    "idempotency_conflict": 422,
    "rate_limit_exceeded": 429,
    "upstream_error": 502,
    "all_providers_unavailable": 503,
    "billing_unavailable": 503,
    "journal_unavailable": 503,
    "upload_unavailable": 503,
    "idempotency_unavailable": 503,
    "not_ready": 503,
    "upstream_timeout": 504,
}
RETRY_AFTER_S: Final = 1
"""Where the error itself names no time."""
REFUSAL_CHARS_MAX: Final = 2000
_NO_RETRY: Final = frozenset(
    {"billing_shortfall", "api_key_quota_exceeded", "idempotency_reply_gone", "idempotency_conflict"}
)


def error_status(error: DomainError) -> int:
    return STATUSES.get(error.code, 500)


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


def refusal_message(status: int, body: bytes) -> str:
    """What a provider's refusal says: `error.message` as all vendors write it, else the body's text."""
    try:
        message = msgspec.json.decode(body)["error"]["message"]
        if isinstance(message, str) and message:
            return message[:REFUSAL_CHARS_MAX]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, IndexError, RecursionError):
        pass  # HTML of a proxy, plain text, another JSON shape
    return body[:REFUSAL_CHARS_MAX].decode(errors="replace").strip() or f"The provider refused the request ({status})."
