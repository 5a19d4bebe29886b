"""Other vendors' thoughts in a conversation that goes on with Gemini itself: it would refuse signatures that are not its own.

They are told by their seal, which this gateway made; everything else stays as the client sent it.
"""

from typing import Any, Final

import msgspec

from tt_edge.protocols.bodies import value_of
from tt_edge.protocols.gemini.outgoing import NO_SIGNATURE
from tt_edge.protocols.gemini.seals import SEALED

MARK: Final = b'"' + SEALED.encode()
SIGNATURE: Final = ("thoughtSignature", "thought_signature")
CALL: Final = ("functionCall", "function_call")


def without_foreign_thoughts(raw: msgspec.Raw) -> msgspec.Raw:
    """The contents, without thoughts that another vendor signed; the first call beside them has the stand-in for a signature."""
    if MARK not in bytes(raw):
        return raw
    contents: Any = value_of(raw, "contents")
    kept = [content for content in (contents if isinstance(contents, list) else [contents]) if _is_left(content)]
    return msgspec.Raw(msgspec.json.encode(kept))


def _is_left(content: Any) -> bool:
    """Whether anything is left of a content, from which the thoughts are taken."""
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list):
        return True
    foreign = [part for part in parts if _signature(part).startswith(SEALED)]
    if not foreign:
        return True
    calls = [part for part in parts if isinstance(part, dict) and any(name in part for name in CALL)]
    for call in calls:
        if call in foreign:
            for name in SIGNATURE:
                call.pop(name, None)
    if calls and not _signature(calls[0]):
        calls[0][SIGNATURE[0]] = NO_SIGNATURE
    content["parts"] = [part for part in parts if part in calls or not _signature(part).startswith(SEALED)]
    return bool(content["parts"])


def _signature(part: Any) -> str:
    found = next((part[name] for name in SIGNATURE if name in part), "") if isinstance(part, dict) else ""
    return found if isinstance(found, str) else ""
