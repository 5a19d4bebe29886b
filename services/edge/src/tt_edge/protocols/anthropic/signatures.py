"""How other vendors' signatures travel in Anthropic's thinking blocks, which clients keep and send back.

`tokentally:VENDOR:thought:SIGNATURE` is a thought's, `tokentally:VENDOR:call:SIGNATURE` that of the call that follows, and
`tokentally:none:thought:` that of a thought which nobody signed. Anthropic's own are base64, which has no colon: they stand as they are.
Anthropic would refuse all others, so what this gateway made is taken out again before a request goes there.
"""

from typing import Any, Final, Literal, cast

import msgspec

from tt_edge.protocols.canonical.request import Vendor
from tt_edge.protocols.port import RawFields

MARK: Final = "tokentally:"
MARK_IN_JSON: Final = b'"tokentally:'


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
    if MARK_IN_JSON not in bytes(fields["messages"]):
        return kept
    messages: list[Any] = []
    for message in msgspec.json.decode(fields["messages"]):
        content = message.get("content")
        if isinstance(content, list):
            own = [block for block in content if not _is_foreign(block)]
            if content and not own:
                continue
            message["content"] = own
        messages.append(message)
    kept["messages"] = msgspec.Raw(msgspec.json.encode(messages))
    thinking = msgspec.json.decode(fields.get("thinking", msgspec.Raw(b"null")))
    if isinstance(thinking, dict) and thinking.get("type") == "enabled" and _answers_a_call(messages[-1:]):
        kept["thinking"] = msgspec.Raw(b'{"type":"disabled"}')
    return kept


def _is_foreign(block: Any) -> bool:
    if not isinstance(block, dict) or block.get("type") not in ("thinking", "redacted_thinking"):
        return False
    signature = block.get("signature") if block["type"] == "thinking" else block.get("data")
    return isinstance(signature, str) and signature.startswith(MARK)


def _answers_a_call(last: list[Any]) -> bool:
    content = last[0].get("content") if last else None
    return isinstance(content, list) and any(
        isinstance(block, dict) and block.get("type") == "tool_result" for block in content
    )
