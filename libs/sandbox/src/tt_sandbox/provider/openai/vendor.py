"""OpenAI's door: a Bearer key, its headers, its error shape, its models."""

from collections.abc import Mapping

import orjson

from tt_sandbox.provider.dialect import Dialect, Endpoint, RequestRefused
from tt_sandbox.provider.openai import chat, embeddings
from tt_sandbox.provider.openai.audio import speech, transcription
from tt_sandbox.provider.openai.images import answer as images
from tt_sandbox.provider.records import Call
from tt_sandbox.provider.wire import Headers

BAD_KEY = b"sk-sandbox-bad"
MODELS = (
    "gpt-4o-mini",
    "gpt-4o",
    "llama-3.1-70b",
    "text-embedding-3-small",
    "text-embedding-3-large",
    "nomic-embed-text",
    "mxbai-embed-large",
    "gpt-image-1",
    "dall-e-3",
    "whisper-1",
    "gpt-4o-transcribe",
    "tts-1",
    "gpt-4o-mini-tts",
)
MODELS_BODY = orjson.dumps(
    {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "sandbox"} for name in MODELS],
    }
)
# What OpenAI sends about the account; the gateway must not pass it on.
ACCOUNT_HEADERS: Headers = [
    (b"openai-organization", b"org-sandbox"),
    (b"x-ratelimit-limit-requests", b"10000"),
    (b"x-ratelimit-remaining-requests", b"9999"),
]
ERROR_TYPES = {401: "invalid_request_error", 404: "invalid_request_error", 429: "requests"}


def headers(call: Call) -> Headers:
    """What every answer carries."""
    return [(b"x-request-id", b"req_%d" % call.seq), *ACCOUNT_HEADERS]


def error(refused: RequestRefused, call: Call | None = None) -> bytes:
    """OpenAI's error shape, which knows nothing of the call."""
    kind = ERROR_TYPES.get(refused.status, "server_error" if refused.status >= 500 else "invalid_request_error")
    body = {"message": str(refused), "type": kind, "param": refused.param, "code": refused.code}
    return orjson.dumps({"error": body})


def admit(headers: Mapping[bytes, bytes], query: Mapping[str, list[str]]) -> None:
    """Any Bearer key but BAD_KEY. Raises RequestRefused."""
    authorization = headers.get(b"authorization", b"")
    if not authorization.startswith(b"Bearer ") or not authorization[7:].strip():
        raise RequestRefused("You didn't provide an API key.", 401)
    if authorization[7:] == BAD_KEY:
        raise RequestRefused("Incorrect API key provided: sk-sand*****-bad.", 401, "invalid_api_key")


OPENAI = Dialect("openai", headers, error, admit, "you must provide a model parameter")
ENDPOINTS = {
    "/v1/chat/completions": Endpoint(OPENAI, chat.answer),
    "/v1/embeddings": Endpoint(OPENAI, embeddings.answer),
    "/v1/audio/transcriptions": Endpoint(OPENAI, transcription.transcribe, takes_form=True),
    "/v1/audio/translations": Endpoint(OPENAI, transcription.translate, takes_form=True),
    "/v1/audio/speech": Endpoint(OPENAI, speech.speak),
    "/v1/images/generations": Endpoint(OPENAI, images.generate),
    "/v1/images/edits": Endpoint(OPENAI, images.edit, takes_form=True),
}
