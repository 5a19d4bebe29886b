"""Gemini's paths, which name the model: `/v1beta/models/{model}:{method}`, and below `/v1`, where newer SDKs call."""

from typing import Final
from urllib.parse import quote

PREFIXES: Final = ("/v1beta/models/", "/v1/models/")
METHODS: Final = ("generateContent", "streamGenerateContent", "countTokens")


def names_one_model(path: str) -> bool:
    """Whether the path is that of a call of one model. A model that begins with `models/` is a client's mistake."""
    model, _, method = path.rpartition(":")
    for prefix in PREFIXES:
        if model.startswith(prefix):
            return (
                method in METHODS and len(model) > len(prefix) and not model.startswith(("models/", "/"), len(prefix))
            )
    return False


def is_gemini_path(path: str) -> bool:
    """Whether it is one of Gemini's, right or wrong; Google's OpenAI-compatible ones are not."""
    return path.rpartition(":")[2] in METHODS or ("/v1beta" in path and "/openai" not in path)


def meant_path(path: str) -> str | None:
    """The path that one of Gemini's was probably meant to be: itself, or without a prefix or slash too many and `models/` twice.

    None for no idea: another resource, a method that is not served.
    """
    parts = [part for part in path.split("/") if part]
    last = parts[-1] if parts else ""
    if last.rpartition(":")[2] in METHODS:
        return path if names_one_model(path) else PREFIXES[0] + last
    if "models" in parts and ":" not in last:
        named = parts[len(parts) - parts[::-1].index("models") :]
        return "/".join(["/v1beta/models", *named])
    return None


def upstream_path(upstream_model: str, method: str) -> str:
    """Below a provider's base URL."""
    named = upstream_model if upstream_model.startswith(("models/", "tunedModels/")) else f"models/{upstream_model}"
    return f"/{quote(named, safe='/')}:{method}"
