"""How other vendors' signatures travel in Anthropic's thinking blocks, which clients keep and send back.

`tokentally:VENDOR:thought:SIGNATURE` is a thought's, `tokentally:VENDOR:call:SIGNATURE` that of the call that follows, and
`tokentally:none:thought:` that of a thought which nobody signed. Anthropic's own are base64, which has no colon: they stand as they are.
Anthropic would refuse all others, so what this gateway made is taken out again before a request goes there.
"""

import re
from typing import Any, Final, Literal, cast

import msgspec

from tt_edge.protocols.bodies import value_of
from tt_edge.protocols.canonical.request import Vendor
from tt_edge.protocols.port import RawFields

MARK: Final = "tokentally:"
MARK_IN_JSON: Final = b'"tokentally:'
FOREIGN_RESULT: Final = re.compile(rb'"tool_use_id"\s*:\s*"(?!toolu_|srvtoolu_)')
"""A result of a call that some other vendor's model may have made."""
THOUGHTS: Final = ("thinking", "redacted_thinking")


class Carried(msgspec.Struct, frozen=True):
    """A signature as it was before it travelled."""

    vendor: Vendor | None
    of: Literal["thought", "call"]
    signature: str


def carried(signature: str, vendor: Vendor | None, of: Literal["thought", "call"] = "thought") -> str:
    """The signature as an Anthropic client keeps it."""
    if vendor == "anthropic" and signature:
        return signature
    return f"{MARK}{vendor or 'none'}:{of}:{signature}"


def read_carried(text: str) -> Carried:
    """What `carried` made, or Anthropic's own."""
    if not text.startswith(MARK):
        return Carried("anthropic" if text else None, "thought", text)
    vendor, _, rest = text.removeprefix(MARK).partition(":")
    of, _, signature = rest.partition(":")
    known = cast("Vendor", vendor) if vendor in ("openai", "anthropic", "gemini") else None
    return Carried(known, "call" if of == "call" else "thought", signature)


def without_foreign_thoughts(fields: RawFields) -> RawFields:
    """A request's fields for Anthropic itself: thoughts of other vendors, which a conversation brings along that began with another
    model, are left out. A turn that answers a call of that time goes on without thinking, because it can't begin with a thought."""
    kept = dict(fields)
    raw = bytes(fields["messages"])
    marked = MARK_IN_JSON in raw
    if not marked and not FOREIGN_RESULT.search(raw):
        return kept
    messages: list[Any] = value_of(fields["messages"], "messages")
    if marked:
        messages = [message for message in messages if _is_left(message)]
        kept["messages"] = msgspec.Raw(msgspec.json.encode(messages))
    thinking = value_of(fields.get("thinking", msgspec.Raw(b"null")), "thinking")
    if isinstance(thinking, dict) and thinking.get("type") == "enabled" and _goes_on_without_a_thought(messages):
        kept["thinking"] = msgspec.Raw(b'{"type":"disabled"}')
    return kept


def _is_left(message: Any) -> bool:
    """Whether anything is left of a message, from which foreign thoughts are taken."""
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list) or not content:
        return True
    message["content"] = [block for block in content if not _is_foreign(block)]
    return bool(message["content"])


def _is_foreign(block: Any) -> bool:
    if not isinstance(block, dict) or block.get("type") not in THOUGHTS:
        return False
    signature = block.get("signature") if block["type"] == "thinking" else block.get("data")
    return isinstance(signature, str) and signature.startswith(MARK)


def _goes_on_without_a_thought(messages: list[Any]) -> bool:
    """Whether the last message answers a call, and the loop of calls that it belongs to did not begin with a thought."""
    first: list[Any] = []
    loop: list[Any] = []
    for message in reversed(messages):
        blocks = _blocks(message)
        if isinstance(message, dict) and message.get("role") == "assistant":
            first = blocks
        elif not any(block.get("type") == "tool_result" for block in blocks):
            break
        loop.append(message)
    return bool(loop and first) and first[0].get("type") not in THOUGHTS


def _blocks(message: Any) -> list[Any]:
    content = message.get("content") if isinstance(message, dict) else None
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
