"""Other vendors' signatures of thoughts as the `encrypted_content` of reasoning items, and back; and out again where a conversation goes on
with an OpenAI model, which would refuse them.
"""

import base64
import re
from typing import Any, Final

import msgspec

from tt_edge.protocols.bodies import value_of
from tt_edge.protocols.canonical.request import Vendor

PREFIX: Final = "tt1."
OUR_ID: Final = re.compile(r"rs_[0-9a-f]{8}-")
"""How the ids of reasoning items begin that were made here, sealed or not: with the call's, which has dashes."""
MARKS: Final = re.compile(rb'"(tt1\.|rs_[0-9a-f]{8}-)')


class Seal(msgspec.Struct, frozen=True, array_like=True):
    """What a reasoning item's `encrypted_content` holds. `call`: the signature belongs to the tool call behind it."""

    vendor: Vendor | None
    signature: str
    redacted: bool = False
    call: bool = False


def sealed(seal: Seal) -> str:
    """The seal as `encrypted_content`."""
    return PREFIX + base64.urlsafe_b64encode(msgspec.json.encode(seal)).decode()


def unsealed(text: Any) -> Seal | None:
    """None for what was not sealed here."""
    if not isinstance(text, str) or not text.startswith(PREFIX):
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text[len(PREFIX) :]), type=Seal)
    except (ValueError, msgspec.MsgspecError):
        return None


def without_foreign_thoughts(raw: msgspec.Raw) -> msgspec.Raw:
    """An input without the reasoning items that this gateway made of other vendors' thoughts."""
    if not MARKS.search(raw):
        return raw
    items = value_of(raw, "input")
    kept = [item for item in items if not _is_ours(item)] if isinstance(items, list) else items
    return msgspec.Raw(msgspec.json.encode(kept))


def _is_ours(item: Any) -> bool:
    if not isinstance(item, dict) or item.get("type") != "reasoning":
        return False
    return OUR_ID.match(str(item.get("id"))) is not None or str(item.get("encrypted_content")).startswith(PREFIX)
