"""Which endpoint a path is, over all dialects, and the vendors' lists of models."""

from collections.abc import Mapping

from tt_sandbox.provider.anthropic import vendor as anthropic
from tt_sandbox.provider.dialect import Dialect, Endpoint, RequestRefused
from tt_sandbox.provider.gemini import vendor as gemini
from tt_sandbox.provider.openai import vendor as openai
from tt_sandbox.provider.records import Call

BY_PATH: Mapping[str, Endpoint] = {**openai.ENDPOINTS, **anthropic.ENDPOINTS}


def find(path: str) -> Endpoint | None:
    """The endpoint that a POST to this path reaches."""
    return BY_PATH.get(path) or gemini.find(path)


def models(path: str, headers: Mapping[bytes, bytes], query: Mapping[str, list[str]]) -> tuple[int, bytes]:
    """Status and body of a GET: a vendor's models for its own kind of key, else 404. Never recorded as a call."""
    version, _, rest = path.removeprefix("/").partition("/")
    is_gemini = version == "v1beta" or (version == "v1" and (b"x-goog-api-key" in headers or "key" in query))
    if is_gemini and (payload := gemini.MODELS_BODIES.get(f"/{rest}")) is not None:
        return _guarded(gemini.GEMINI, payload, headers, query)
    if path != "/v1/models":
        return 404, not_found("GET", path)
    if b"anthropic-version" in headers:
        return _guarded(anthropic.ANTHROPIC, anthropic.MODELS_BODY, headers, query)
    return _guarded(openai.OPENAI, openai.MODELS_BODY, headers, query)


def not_found(method: str, path: str) -> bytes:
    """The body of a 404 for a path that no vendor has."""
    return openai.error(RequestRefused(f"Invalid URL ({method} {path})", 404, "unknown_url"))


def _guarded(
    dialect: Dialect, payload: bytes, headers: Mapping[bytes, bytes], query: Mapping[str, list[str]]
) -> tuple[int, bytes]:
    try:
        dialect.admit(headers, query)
    except RequestRefused as error:
        nobody = Call(0, "", None, None, dialect.name)
        return error.status, dialect.error(error, nobody)
    return 200, payload
