"""Which endpoint a path is, over all dialects, and what can be read without being a call: models, kept responses."""

from collections.abc import Callable, Mapping

import orjson

from tt_sandbox.provider.anthropic import vendor as anthropic
from tt_sandbox.provider.dialect import Dialect, Endpoint, RequestRefused
from tt_sandbox.provider.gemini import vendor as gemini
from tt_sandbox.provider.openai import vendor as openai
from tt_sandbox.provider.openai.responses.answer import Responses
from tt_sandbox.provider.records import Call

RESPONSES = "/v1/responses"


class Endpoints:
    """All paths of one provider, with what its responses endpoint keeps."""

    def __init__(self) -> None:
        self._responses = Responses()
        responses = {RESPONSES: Endpoint(openai.OPENAI, self._responses.answer)}
        self._by_path: Mapping[str, Endpoint] = {**openai.ENDPOINTS, **responses, **anthropic.ENDPOINTS}

    def find(self, path: str) -> Endpoint | None:
        """The endpoint that a POST to this path reaches."""
        return self._by_path.get(path) or gemini.find(path)

    def serve(
        self, method: str, path: str, headers: Mapping[bytes, bytes], query: Mapping[str, list[str]]
    ) -> tuple[int, bytes]:
        """Status and body of what is no call and never recorded: a vendor's models for its own kind of key, kept responses."""
        folder, _, response_id = path.rpartition("/")
        if folder == RESPONSES and method in ("GET", "DELETE"):
            return _guarded(openai.OPENAI, lambda: self._kept(method, response_id), headers, query)
        found = _models(path, headers, query) if method == "GET" else None
        if found is None:
            return 404, not_found(method, path)
        dialect, body = found
        return _guarded(dialect, lambda: body, headers, query)

    def _kept(self, method: str, response_id: str) -> bytes:
        if method == "GET":
            return self._responses.store.body(response_id)
        self._responses.store.delete(response_id)
        return orjson.dumps({"id": response_id, "object": "response", "deleted": True})


def not_found(method: str, path: str) -> bytes:
    """The body of a 404 for a path that no vendor has."""
    return openai.error(RequestRefused(f"Invalid URL ({method} {path})", 404, "unknown_url"))


def _models(path: str, headers: Mapping[bytes, bytes], query: Mapping[str, list[str]]) -> tuple[Dialect, bytes] | None:
    version, _, rest = path.removeprefix("/").partition("/")
    is_gemini = version == "v1beta" or (version == "v1" and (b"x-goog-api-key" in headers or "key" in query))
    if is_gemini and (payload := gemini.MODELS_BODIES.get(f"/{rest}")) is not None:
        return gemini.GEMINI, payload
    if path != "/v1/models":
        return None
    if b"anthropic-version" in headers:
        return anthropic.ANTHROPIC, anthropic.MODELS_BODY
    return openai.OPENAI, openai.MODELS_BODY


def _guarded(
    dialect: Dialect,
    payload: Callable[[], bytes],
    headers: Mapping[bytes, bytes],
    query: Mapping[str, list[str]],
) -> tuple[int, bytes]:
    try:
        dialect.admit(headers, query)
        return 200, payload()
    except RequestRefused as error:
        nobody = Call(0, "", None, None, dialect.name)
        return error.status, dialect.error(error, nobody)
