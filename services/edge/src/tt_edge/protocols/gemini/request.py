"""Gemini requests: read what the gateway needs, keep everything else byte for byte.

The model is in the path. Google reads its fields in camel and in snake case, and takes a single object where a list of one is meant; so
does what is read here.
"""

from typing import Any, Final

import msgspec

from tt_edge.domain.estimate import Demand
from tt_edge.domain.refusals import invalid_request
from tt_edge.domain.tokens import count_prompt_tokens
from tt_edge.protocols.bodies import TOO_DEEP, check_utf8
from tt_edge.protocols.gemini.foreign import without_foreign_thoughts
from tt_edge.protocols.port import EVENT_STREAM, RawFields, Request, Target

CANDIDATES_MAX: Final = 8
OUTPUT_LIMIT_MAX: Final = 10_000_000
TURN_OVERHEAD_TOKENS: Final = 4
MEDIA_TOKENS: Final = 1_600
"""What a hold assumes for one image or linked file. The provider's usage settles."""
MEDIA_BASE64_BYTES_PER_TOKEN: Final = 256
"""And for other inline media: about 32 tokens for a second of audio of 64 kbit/s."""
JSON_ARRAY: Final = b"application/json; charset=UTF-8"
SSE_QUERIES: Final = frozenset({b"alt=sse", b"$alt=sse", b"%24alt=sse"})


class GeminiRequest(Request, frozen=True, kw_only=True):
    """A parsed request. `array`: the client reads its stream as one JSON array, not as events."""

    array: bool = False


class _GenerationConfig(msgspec.Struct):
    max_output: int | None = msgspec.field(default=None, name="maxOutputTokens")
    max_output_snake: int | None = msgspec.field(default=None, name="max_output_tokens")
    count: int | None = msgspec.field(default=None, name="candidateCount")
    count_snake: int | None = msgspec.field(default=None, name="candidate_count")


class _Known(msgspec.Struct):
    """The fields that are read; types are checked, everything else is ignored here."""

    contents: Any = None
    system: Any = msgspec.field(default=None, name="systemInstruction")
    system_snake: Any = msgspec.field(default=None, name="system_instruction")
    config: _GenerationConfig | None = msgspec.field(default=None, name="generationConfig")
    config_snake: _GenerationConfig | None = msgspec.field(default=None, name="generation_config")
    tools: msgspec.Raw = msgspec.Raw()


_fields_decoder = msgspec.json.Decoder(RawFields)
_known_decoder = msgspec.json.Decoder(_Known)
_limit_decoder = msgspec.json.Decoder(RawFields)


def parse_generate(target: Target, body: bytes) -> GeminiRequest:
    """A request to generateContent. Raises invalid_request naming the field."""
    return _parsed(target, body, stream=False)


def parse_stream(target: Target, body: bytes) -> GeminiRequest:
    """A request to streamGenerateContent: events with `alt=sse`, else an array."""
    return _parsed(target, body, stream=True)


def parse_count(target: Target, body: bytes) -> GeminiRequest:
    """A request to countTokens: contents, or a whole request to generate. Raises invalid_request naming the field."""
    fields, known = _decode(body)
    inner = bytes(fields.get("generateContentRequest") or fields.get("generate_content_request") or b"")
    if inner[:1] == b"{":
        known = _decode(inner)[1]
    contents = _contents(known)
    demand = Demand(input_tokens=_tokens(known, contents), output_limit=None, choices=1)
    return GeminiRequest(kind="chat", model=model_of(target.path), stream=False, demand=demand, fields=fields)


def model_of(path: str) -> str:
    """The model that a path names between `/models/` and the method."""
    return path.partition("/models/")[2].rpartition(":")[0]


def build(request: GeminiRequest, upstream_model: str, output_limit: int | None) -> bytes:
    """The body for the provider: its model name where the body names one, and a lowered output limit where there is one."""
    fields = request.fields
    if "model" in fields:
        fields = {**fields, "model": msgspec.Raw(msgspec.json.encode(f"models/{upstream_model}"))}
    if (contents := fields.get("contents")) is not None:
        fields = {**fields, "contents": without_foreign_thoughts(contents)}
    if output_limit is not None:
        fields = _limited(fields, output_limit)
    return msgspec.json.encode(fields)


def listed(value: Any, path: str) -> list[Any]:
    """A list, or the single object that Google takes for a list of one. Raises invalid_request for anything else."""
    if value is None:
        return []
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise invalid_request(f"'{path}' must be an array.", path)
    return value


def _parsed(target: Target, body: bytes, *, stream: bool) -> GeminiRequest:
    fields, known = _decode(body)
    contents = _contents(known)
    config = known.config or known.config_snake or _GenerationConfig()
    limit = _positive(config.max_output or config.max_output_snake, "generationConfig.maxOutputTokens")
    choices = _positive(config.count or config.count_snake, "generationConfig.candidateCount") or 1
    if choices > CANDIDATES_MAX:
        raise invalid_request(f"'candidateCount' is at most {CANDIDATES_MAX}.", "generationConfig.candidateCount")
    sse = not SSE_QUERIES.isdisjoint(target.query.split(b"&"))
    return GeminiRequest(
        kind="chat",
        model=model_of(target.path),
        stream=stream,
        demand=Demand(
            input_tokens=_tokens(known, contents),
            output_limit=None if limit is None else min(limit, OUTPUT_LIMIT_MAX),
            choices=choices,
        ),
        fields=fields,
        stream_content_type=EVENT_STREAM if sse else JSON_ARRAY,
        array=stream and not sse,
    )


def _contents(known: _Known) -> list[Any]:
    contents = listed(known.contents, "contents")
    if not contents:
        raise invalid_request("'contents' must be a non-empty array.", "contents")
    return contents


def _tokens(known: _Known, contents: list[Any]) -> int:
    """About what the provider will count."""
    texts: list[str] = []
    extra = 0
    for turn in [*contents, *listed(known.system or known.system_snake, "systemInstruction")]:
        if not isinstance(turn, dict):
            raise invalid_request("Every item of 'contents' must be an object.", "contents")
        extra += TURN_OVERHEAD_TOKENS
        for part in listed(turn.get("parts"), "contents.parts"):
            extra += _collect_part(part, texts)
    if tools := bytes(known.tools):
        texts.append(tools.decode(errors="replace"))
    return count_prompt_tokens(texts) + extra


def _decode(body: bytes) -> tuple[RawFields, _Known]:
    body = body.removeprefix(b"\xef\xbb\xbf")
    try:
        check_utf8(body)
        return _fields_decoder.decode(body), _known_decoder.decode(body)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        field = path.strip("`").lstrip(".")
        if not field:
            raise invalid_request("The body must be a JSON object.") from None
        raise invalid_request(f"Invalid value at '{field}': {message}.", field) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid_request(f"Invalid JSON payload received. {error}") from None
    except RecursionError:
        raise invalid_request(TOO_DEEP) from None


def _positive(value: int | None, path: str) -> int | None:
    if value is not None and value < 1:
        raise invalid_request(f"'{path}' must be at least 1.", path)
    return value


def _collect_part(part: Any, texts: list[str]) -> int:
    """Collect the text of a part; returns the tokens of what is not text."""
    if not isinstance(part, dict):
        raise invalid_request("Every item of 'parts' must be an object.", "contents.parts")
    inline = part.get("inlineData") or part.get("inline_data")
    if isinstance(inline, dict):
        kind = inline.get("mimeType") or inline.get("mime_type") or ""
        data = inline.get("data")
        if isinstance(data, str) and not str(kind).startswith("image/"):
            return max(MEDIA_TOKENS, len(data) // MEDIA_BASE64_BYTES_PER_TOKEN)
        return MEDIA_TOKENS
    if part.get("fileData") or part.get("file_data"):
        return MEDIA_TOKENS
    text = part.get("text")
    if isinstance(text, str):
        texts.append(text)
        return 0
    known = {name: value for name, value in part.items() if name not in ("thoughtSignature", "thought_signature")}
    texts.append(msgspec.json.encode(known).decode())
    return 0


def _limited(fields: RawFields, output_limit: int) -> RawFields:
    name = "generation_config" if "generation_config" in fields else "generationConfig"
    raw = bytes(fields.get(name, b"{}"))
    config = _limit_decoder.decode(raw) if raw[:1] == b"{" else {}
    key = "max_output_tokens" if "max_output_tokens" in config else "maxOutputTokens"
    asked = bytes(config.get(key, b""))
    limit = min(int(asked), output_limit) if asked.isdigit() else output_limit
    config[key] = msgspec.Raw(str(limit).encode())
    return {**fields, name: msgspec.Raw(msgspec.json.encode(config))}
