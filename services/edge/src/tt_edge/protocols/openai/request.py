"""OpenAI requests: read what the gateway needs, keep everything else byte for byte.

A body is a dict of raw JSON values, so unknown and future fields pass through untouched; `build` changes only what the gateway must change.
"""

from typing import Any, Final

import msgspec

from tt_edge.domain.estimate import Demand
from tt_edge.domain.refusals import invalid_request
from tt_edge.domain.tokens import count_prompt_tokens
from tt_edge.protocols.bodies import decode_fields
from tt_edge.protocols.openai.foreign import without_foreign_thoughts
from tt_edge.protocols.port import Request

CHOICES_MAX: Final = 128
OUTPUT_LIMIT_MAX: Final = 10_000_000
LIMIT_FIELD: Final = "max_completion_tokens"
MESSAGE_OVERHEAD_TOKENS: Final = 4
IMAGE_TOKENS: Final = 1_600
"""What a hold assumes for one image: about a 1024 x 1024 picture in high detail. The provider's usage settles."""

COUNTED_BESIDE_CONTENT: Final = ("tool_calls", "reasoning_content", "function_call")


class _Known(msgspec.Struct):
    """The fields that are read; types are checked, everything else is ignored here."""

    model: str
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    messages: Any = None
    tools: msgspec.Raw = msgspec.Raw()
    functions: msgspec.Raw = msgspec.Raw()
    response_format: msgspec.Raw = msgspec.Raw()
    input: Any = None


class OpenAIRequest(Request, frozen=True, kw_only=True):
    """A parsed request. `wants_usage_chunk`: the client asked for `stream_options.include_usage`. `limits`: the output limits by field."""

    wants_usage_chunk: bool
    limits: dict[str, int]
    stream_options: dict[str, Any]


_known_decoder = msgspec.json.Decoder(_Known)


def parse_chat(body: bytes) -> OpenAIRequest:
    """A chat completion request. Raises invalid_request naming the field."""
    fields, known = decode_fields(body, _known_decoder)
    if not isinstance(known.messages, list) or not known.messages:
        raise invalid_request("Missing required parameter: 'messages' must be a non-empty array.", "messages")
    choices = known.n if known.n is not None else 1
    if not 1 <= choices <= CHOICES_MAX:
        raise invalid_request(f"'n' must be between 1 and {CHOICES_MAX}.", "n")
    limits = _output_limits(known)
    stream_options = known.stream_options or {}
    if stream_options and not known.stream:
        raise invalid_request("'stream_options' is only allowed when 'stream' is true.", "stream_options")
    return OpenAIRequest(
        kind="chat",
        model=known.model,
        stream=bool(known.stream),
        wants_usage_chunk=stream_options.get("include_usage") is True,
        demand=Demand(input_tokens=_prompt_tokens(known), output_limit=_most(limits), choices=choices),
        limits=limits,
        fields=fields,
        stream_options=stream_options,
    )


def parse_embeddings(body: bytes) -> OpenAIRequest:
    """An embeddings request: a string, strings, or token lists."""
    fields, known = decode_fields(body, _known_decoder)
    return OpenAIRequest(
        kind="embedding",
        model=known.model,
        stream=False,
        wants_usage_chunk=False,
        demand=Demand(input_tokens=_embedding_tokens(known.input), output_limit=None, choices=1),
        limits={},
        fields=fields,
        stream_options={},
    )


def build(request: OpenAIRequest, upstream_model: str, output_limit: int | None) -> bytes:
    """The body for the provider: its model name, usage reporting in streams, and a lowered output limit where there is one."""
    fields = dict(request.fields)
    fields["model"] = msgspec.Raw(msgspec.json.encode(upstream_model))
    if request.kind == "chat":
        fields["messages"] = without_foreign_thoughts(fields["messages"], upstream_model)
    if request.stream:
        fields["stream_options"] = msgspec.Raw(msgspec.json.encode({**request.stream_options, "include_usage": True}))
    if output_limit is not None:
        for name, limit in (request.limits or {LIMIT_FIELD: OUTPUT_LIMIT_MAX}).items():
            fields[name] = msgspec.Raw(str(min(limit, output_limit)).encode())
    return msgspec.json.encode(fields)


def _output_limits(known: _Known) -> dict[str, int]:
    limits: dict[str, int] = {}
    for name, value in ((LIMIT_FIELD, known.max_completion_tokens), ("max_tokens", known.max_tokens)):
        if value is not None:
            if value < 1:
                raise invalid_request(f"'{name}' must be at least 1.", name)
            limits[name] = value
    return limits


def _most(limits: dict[str, int]) -> int | None:
    """The output to reckon with: which of two limits counts differs from provider to provider."""
    return min(max(limits.values()), OUTPUT_LIMIT_MAX) if limits else None


def _prompt_tokens(known: _Known) -> int:
    texts: list[str] = []
    extra = 3
    for message in known.messages:
        extra += MESSAGE_OVERHEAD_TOKENS
        if not isinstance(message, dict):
            raise invalid_request("Every item of 'messages' must be an object.", "messages")
        extra += _collect_content(message.get("content"), texts)
        for name in COUNTED_BESIDE_CONTENT:
            if value := message.get(name):
                texts.append(_text(value))
    for raw in (known.tools, known.functions, known.response_format):
        if text := bytes(raw).decode(errors="replace"):
            texts.append(text)
    return count_prompt_tokens(texts) + extra


def _collect_content(content: Any, texts: list[str]) -> int:
    """Collect the text of a message's content; returns the tokens of what is not text."""
    if content is None:
        return 0
    if isinstance(content, str):
        texts.append(content)
        return 0
    if not isinstance(content, list):
        raise invalid_request("The 'content' of a message must be a string or an array.", "messages")
    tokens = 0
    for part in content:
        if isinstance(part, dict) and part.get("type") == "image_url":
            tokens += IMAGE_TOKENS
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            texts.append(_text(part))
    return tokens


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _embedding_tokens(value: Any) -> int:
    if isinstance(value, str) and value:
        return count_prompt_tokens([value])
    if isinstance(value, list) and value:
        if all(isinstance(item, str) for item in value):
            return count_prompt_tokens(value)
        if all(isinstance(item, int) for item in value):
            return len(value)
        if all(isinstance(item, list) and item and all(isinstance(token, int) for token in item) for item in value):
            return sum(len(item) for item in value)
    raise invalid_request(
        "'input' must be a non-empty string, array of strings, array of tokens, or array of token arrays.", "input"
    )
