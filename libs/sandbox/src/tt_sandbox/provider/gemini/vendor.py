"""Gemini's door: x-goog-api-key, ?key= or Bearer, its error shape, its models. It sends no headers about limits."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from tt_sandbox.provider.dialect import Dialect, Endpoint, RequestRefused
from tt_sandbox.provider.gemini import generate
from tt_sandbox.provider.records import Call
from tt_sandbox.provider.wire import Headers

BAD_KEY = "AIza-sandbox-bad"
MODELS = ("gemini-1.5-pro", "gemini-2.5-flash", "gemini-3-pro")
METHODS = {
    "generateContent": generate.answer_whole,
    "streamGenerateContent": generate.answer_stream,
    "countTokens": generate.count,
}
PATH = re.compile(r"/v1(?:beta)?/models/([^/:]+):(\w+)")
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
TYPES = "type.googleapis.com/google.rpc."
RETRY_AFTER_S = 37.0


def model_body(name: str) -> dict[str, Any]:
    """A model as the vendor lists it."""
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name,
        "description": "Served by the sandbox provider.",
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": list(METHODS),
        "thinking": True,
    }


# Below `/v1beta`, and below the `/v1` that SDKs since 3.0 use.
MODELS_BODIES = {f"/models/{name}": orjson.dumps(model_body(name)) for name in MODELS}
MODELS_BODIES["/models"] = orjson.dumps({"models": [model_body(name) for name in MODELS]})


def headers(call: Call) -> Headers:
    """What every answer carries."""
    return [(b"server-timing", b"gfet4t7; dur=1"), (b"vary", b"Origin")]


def error(refused: RequestRefused, call: Call) -> bytes:
    """Google's error shape; `code` is the reason within an ErrorInfo."""
    status, code = refused.status, refused.code
    name = STATUSES.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    details: list[dict[str, Any]] = []
    if code is not None:
        details.append({"@type": TYPES + "ErrorInfo", "reason": code, "domain": "googleapis.com"})
    if status == 429:
        violation = {"quotaMetric": "generativelanguage.googleapis.com/generate_content_requests", "quotaId": "sandbox"}
        details.append({"@type": TYPES + "QuotaFailure", "violations": [violation]})
        wait_s = RETRY_AFTER_S if call.retry_after_s is None else call.retry_after_s
        details.append({"@type": TYPES + "RetryInfo", "retryDelay": f"{wait_s:g}s"})
    body: dict[str, Any] = {"code": status, "message": str(refused), "status": name}
    return orjson.dumps({"error": {**body, "details": details} if details else body})


def admit(headers: Mapping[bytes, bytes], query: Mapping[str, list[str]]) -> None:
    """Any key but BAD_KEY. Raises RequestRefused: the vendor says 400 for a wrong key, 403 for none."""
    bearer = headers.get(b"authorization", b"").removeprefix(b"Bearer ")
    key = (headers.get(b"x-goog-api-key") or bearer).decode("latin-1") or query.get("key", [""])[0]
    if not key:
        raise RequestRefused(
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or "
            "other form of API consumer identity to call this API.",
            403,
        )
    if key == BAD_KEY:
        raise RequestRefused("API key not valid. Please pass a valid API key.", 400, "API_KEY_INVALID")


GEMINI = Dialect("gemini", headers, error, admit, "model is not specified")


def find(path: str) -> Endpoint | None:
    """The endpoint of a path that names a model and one of its methods."""
    match = PATH.fullmatch(path)
    method = METHODS.get(match[2]) if match else None
    return None if match is None or method is None else Endpoint(GEMINI, method, match[1])
