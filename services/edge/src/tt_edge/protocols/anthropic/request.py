"""Anthropic requests: read what the gateway needs, keep everything else byte for byte.

A body is a dict of raw JSON values, so unknown and future fields pass through untouched; `build` changes only what the gateway must change.
"""

import re
from typing import Any, Final

import msgspec

from tt_edge.domain.estimate import Demand
from tt_edge.domain.refusals import invalid_request
from tt_edge.domain.tokens import count_prompt_tokens
from tt_edge.protocols.anthropic.signatures import without_foreign_thoughts
from tt_edge.protocols.anthropic.usage import HOUR_MARK
from tt_edge.protocols.bodies import decode_fields
from tt_edge.protocols.port import Request, Target

OUTPUT_LIMIT_MAX: Final = 10_000_000
MESSAGE_OVERHEAD_TOKENS: Final = 4
IMAGE_TOKENS: Final = 1_600
"""What a hold assumes for one image: the vendor scales larger ones down to about this. The provider's usage settles."""
BUDGET_TOKENS_MIN: Final = 1_024
"""The least that the vendor takes as `thinking.budget_tokens`."""
VERSION: Final = "2023-06-01"
HEADER_VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,2000}[\x21-\x7e])?")
BETA_QUERY: Final = b"beta=true"


class _Known(msgspec.Struct):
    """The fields that are read; types are checked, everything else is ignored here."""

    model: str
    stream: bool | None = None
    max_tokens: int | None = None
    messages: Any = None
    system: Any = None
    tools: msgspec.Raw = msgspec.Raw()
    thinking: Any = None
    output_config: msgspec.Raw = msgspec.Raw()


class AnthropicRequest(Request, frozen=True, kw_only=True):
    """A parsed request. `hour_cache`: it marks something to be cached for an hour. `query`: what follows the path to the provider."""

    hour_cache: bool
    thinking: dict[str, Any]
    query: str


_known_decoder = msgspec.json.Decoder(_Known)


def parse_messages(target: Target, body: bytes) -> AnthropicRequest:
    """A request for a message, or to count its tokens. Raises invalid_request naming the field."""
    fields, known = decode_fields(body, _known_decoder)
    if not isinstance(known.messages, list) or not known.messages:
        raise invalid_request("messages: at least one message is required.", "messages")
    if known.max_tokens is not None and known.max_tokens < 0:
        raise invalid_request("max_tokens: must not be negative.", "max_tokens")
    limit = None if known.max_tokens is None else min(known.max_tokens, OUTPUT_LIMIT_MAX)
    return AnthropicRequest(
        kind="chat",
        model=known.model,
        stream=bool(known.stream),
        demand=Demand(input_tokens=_prompt_tokens(known), output_limit=limit, choices=1),
        fields=fields,
        forward=tuple(_forwarded(target.headers)),
        hour_cache=HOUR_MARK.search(body) is not None,
        thinking=known.thinking if isinstance(known.thinking, dict) else {},
        query="?beta=true" if BETA_QUERY in target.query.split(b"&") else "",
    )


def build(request: AnthropicRequest, upstream_model: str, output_limit: int | None) -> bytes:
    """The body for the provider: its model name, and a lowered output limit where there is one."""
    fields = without_foreign_thoughts(request.fields)
    fields["model"] = msgspec.Raw(msgspec.json.encode(upstream_model))
    if output_limit is not None:
        fields["max_tokens"] = msgspec.Raw(str(output_limit).encode())
        thinking = fitting_thinking(request.thinking, output_limit)
        if thinking != request.thinking:
            fields["thinking"] = msgspec.Raw(msgspec.json.encode(thinking))
    return msgspec.json.encode(fields)


def fitting_thinking(thinking: dict[str, Any], output_limit: int) -> dict[str, Any]:
    """`thinking` with a budget that the output limit leaves room for: the vendor refuses one that is not below it."""
    budget = thinking.get("budget_tokens")
    if not isinstance(budget, int) or budget < output_limit:
        return thinking
    half = output_limit // 2
    return {**thinking, "budget_tokens": half} if half >= BUDGET_TOKENS_MIN else {"type": "disabled"}


def _forwarded(headers: dict[bytes, bytes]) -> list[tuple[str, str]]:
    """The client's version and beta headers, for providers of the same dialect."""
    forwarded: list[tuple[str, str]] = [("anthropic-version", VERSION)]
    for name in ("anthropic-version", "anthropic-beta"):
        value = headers.get(name.encode(), b"").decode("latin-1").strip()
        if value and not HEADER_VALUE.fullmatch(value):
            raise invalid_request(f"The header '{name}' is not usable.", name)
        if value:
            forwarded = [*(pair for pair in forwarded if pair[0] != name), (name, value)]
    return forwarded


def _prompt_tokens(known: _Known) -> int:
    texts: list[str] = []
    extra = _collect_content(known.system, "system", texts)
    for message in known.messages:
        if not isinstance(message, dict):
            raise invalid_request("messages: every item must be an object.", "messages")
        extra += MESSAGE_OVERHEAD_TOKENS + _collect_content(message.get("content"), "messages", texts)
    for raw in (known.tools, known.output_config):
        if text := bytes(raw).decode(errors="replace"):
            texts.append(text)
    return count_prompt_tokens(texts) + extra


def _collect_content(content: Any, field: str, texts: list[str]) -> int:
    """Collect the text of content, whatever the kind of its blocks; returns the tokens of what is not text."""
    if content is None:
        return 0
    if isinstance(content, str):
        texts.append(content)
        return 0
    if not isinstance(content, list):
        raise invalid_request(f"{field}: content must be a string or an array.", field)
    tokens = 0
    for block in content:
        if not isinstance(block, dict):
            texts.append(msgspec.json.encode(block).decode())
        elif block.get("type") == "image":
            tokens += IMAGE_TOKENS
        elif block.get("type") == "tool_result" and isinstance(block.get("content"), (str, list)):
            tokens += _collect_content(block["content"], field, texts)
        elif isinstance(block.get("text"), str):
            texts.append(block["text"])
        else:
            texts.append(msgspec.json.encode(block).decode())
    return tokens
