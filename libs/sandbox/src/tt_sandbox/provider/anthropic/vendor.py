"""Anthropic's door: a key and anthropic-version, its headers, its error shape, its models."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime

import orjson

from tt_sandbox.provider.anthropic import messages, rules
from tt_sandbox.provider.dialect import Dialect, Endpoint, RequestRefused
from tt_sandbox.provider.records import Call
from tt_sandbox.provider.wire import Headers

BAD_KEY = b"sk-ant-sandbox-bad"
MODELS = ("claude-3-5-sonnet", "claude-opus-5-5")
MODELS_BODY = orjson.dumps(
    {
        "data": [
            {
                "id": name,
                "type": "model",
                "display_name": name,
                "created_at": "2025-01-31T00:00:00Z",
                "lifecycle": "active",
                "max_input_tokens": 200_000,
                "max_tokens": 64_000,
            }
            for name in MODELS
        ],
        "has_more": False,
        "first_id": MODELS[0],
        "last_id": MODELS[-1],
    }
)
ERROR_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
VERSIONS = (b"2023-06-01", rules.STRICT_VERSION)
LIMITS = {b"requests": 4_000, b"tokens": 500_000, b"input-tokens": 400_000, b"output-tokens": 100_000}
WINDOW_S = 60


def headers(call: Call) -> Headers:
    """What every answer carries: its id, and the account's limits, which the gateway must not pass on."""
    return [
        (b"request-id", request_id(call).encode()),
        (b"anthropic-organization-id", b"00000000-0000-4000-8000-000000000000"),
        *([(b"x-should-retry", b"true")] if call.status == 429 else []),
        *_limits(used_up=call.status == 429),
    ]


def request_id(call: Call) -> str:
    """As in the header and in the error's body."""
    return f"req_{call.seq:024d}"


def error(refused: RequestRefused, call: Call) -> bytes:
    """Anthropic's error shape; it has no codes."""
    kind = ERROR_TYPES.get(refused.status, "api_error" if refused.status >= 500 else "invalid_request_error")
    problem = {"type": kind, "message": str(refused)}
    return orjson.dumps({"type": "error", "error": problem, "request_id": request_id(call)})


def admit(headers: Mapping[bytes, bytes], query: Mapping[str, list[str]]) -> None:
    """Any key but BAD_KEY, and a version. SDKs send the key as x-api-key, newer ones as Bearer. Raises RequestRefused."""
    key = headers.get(b"x-api-key") or headers.get(b"authorization", b"").removeprefix(b"Bearer ")
    if not key.strip():
        raise RequestRefused("x-api-key header is required", 401)
    if key == BAD_KEY:
        raise RequestRefused("invalid x-api-key", 401)
    version = headers.get(b"anthropic-version")
    if version is None:
        raise RequestRefused("anthropic-version: header is required")
    if version not in VERSIONS:
        raise RequestRefused(f'anthropic-version: "{version.decode("latin-1")}" is not a valid version')


def _limits(used_up: bool) -> Headers:
    reset = datetime.fromtimestamp(time.time() + WINDOW_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    found: Headers = []
    for what, limit in LIMITS.items():
        name = b"anthropic-ratelimit-" + what
        found += [
            (name + b"-limit", b"%d" % limit),
            (name + b"-remaining", b"%d" % (0 if used_up else limit - 1)),
            (name + b"-reset", reset),
        ]
    return found


ANTHROPIC = Dialect("anthropic", headers, error, admit, "model: Field required")
ENDPOINTS = {
    "/v1/messages": Endpoint(ANTHROPIC, messages.answer),
    "/v1/messages/count_tokens": Endpoint(ANTHROPIC, messages.count),
}
