"""Requests to the Responses API: read what the gateway needs, keep everything else byte for byte."""

from typing import Any, Final

import msgspec

from tt_edge.domain.estimate import Demand
from tt_edge.domain.refusals import invalid_request
from tt_edge.domain.tokens import count_prompt_tokens
from tt_edge.protocols.bodies import decode_fields
from tt_edge.protocols.openai.request import IMAGE_TOKENS, MESSAGE_OVERHEAD_TOKENS, OUTPUT_LIMIT_MAX
from tt_edge.protocols.port import RawFields, Request
from tt_edge.protocols.responses.seals import without_foreign_thoughts

PREVIOUS_TOKENS: Final = 16_000
"""What a hold assumes for what a `previous_response_id` or a conversation brings along. The provider's usage settles."""
IMAGE_PARTS: Final = ("input_image", "computer_screenshot")


class _Known(msgspec.Struct):
    """The fields that are read; types are checked, everything else is ignored here."""

    model: str
    stream: bool | None = None
    max_output_tokens: int | None = None
    input: Any = None
    instructions: Any = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    prompt: Any = None
    tools: msgspec.Raw = msgspec.Raw()
    text: msgspec.Raw = msgspec.Raw()


class ResponsesRequest(Request, frozen=True, kw_only=True):
    """A parsed request. `earlier` names the field by which it builds on what only a provider keeps, if it does."""

    earlier: str | None


_decoder = msgspec.json.Decoder(_Known)


def parse_responses(body: bytes) -> ResponsesRequest:
    """A request for a response. Raises invalid_request naming the field."""
    fields, known = decode_fields(body, _decoder)
    if known.background:
        raise invalid_request("'background' is not supported; use 'stream' for long answers.", "background")
    limit = known.max_output_tokens
    if limit is not None and limit < 1:
        raise invalid_request("'max_output_tokens' must be at least 1.", "max_output_tokens")
    earlier = next(
        (name for name in ("previous_response_id", "conversation", "prompt") if getattr(known, name) is not None), None
    )
    if known.input is None and earlier is None:
        raise invalid_request("Missing required parameter: 'input'.", "input")
    tokens = _tokens(known) + (PREVIOUS_TOKENS if earlier else 0)
    return ResponsesRequest(
        kind="chat",
        model=known.model,
        stream=bool(known.stream),
        demand=Demand(
            input_tokens=tokens, output_limit=None if limit is None else min(limit, OUTPUT_LIMIT_MAX), choices=1
        ),
        fields=fields,
        earlier=earlier,
    )


def build(request: ResponsesRequest, upstream_model: str, output_limit: int | None) -> bytes:
    """The body for a provider: its model name, and a lowered output limit where there is one."""
    fields: RawFields = dict(request.fields)
    fields["model"] = msgspec.Raw(msgspec.json.encode(upstream_model))
    if (asked := fields.get("input")) is not None:
        fields["input"] = without_foreign_thoughts(asked)
    if output_limit is not None:
        fields["max_output_tokens"] = msgspec.Raw(str(output_limit).encode())
    return msgspec.json.encode(fields)


def _tokens(known: _Known) -> int:
    texts: list[str] = []
    extra = 3
    if isinstance(known.instructions, str):
        texts.append(known.instructions)
    if isinstance(known.input, str):
        texts.append(known.input)
    elif isinstance(known.input, list):
        extra += sum(_item_tokens(item, texts) for item in known.input)
    elif known.input is not None:
        raise invalid_request("'input' must be a string or an array.", "input")
    texts += [text for raw in (known.tools, known.text) if (text := bytes(raw).decode(errors="replace"))]
    return count_prompt_tokens(texts) + extra


def _item_tokens(item: Any, texts: list[str]) -> int:
    """Collects an item's texts; the tokens of what is none."""
    if not isinstance(item, dict):
        raise invalid_request("Every item of 'input' must be an object.", "input")
    tokens = MESSAGE_OVERHEAD_TOKENS
    for value in item.values():
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, list):
            tokens += sum(_part_tokens(part, texts) for part in value)
    return tokens


def _part_tokens(part: Any, texts: list[str]) -> int:
    if isinstance(part, dict) and part.get("type") in IMAGE_PARTS:
        return IMAGE_TOKENS
    if isinstance(part, dict) and isinstance(part.get("text"), str):
        texts.append(part["text"])
    elif part is not None:
        texts.append(part if isinstance(part, str) else msgspec.json.encode(part).decode())
    return 0
