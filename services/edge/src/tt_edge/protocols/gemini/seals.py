"""Other vendors' signatures of thoughts as Gemini's thoughtSignature, and back: what clients return untouched returns whole.

Google's SDKs read the field as base64 bytes and write it again in either alphabet, so the seal is base64 of bytes that say whose it is.
"""

import base64
import binascii
from typing import Final

import msgspec

from tt_edge.protocols.canonical.request import Vendor

MARK: Final = b"tokentally1:"
SEALED: Final = base64.b64encode(MARK).decode()
"""How every seal begins: the mark is a whole number of base64's groups."""


class Seal(msgspec.Struct, frozen=True, array_like=True):
    """A signature, who made it, and whether there is nothing else of the thought."""

    vendor: Vendor
    signature: str
    redacted: bool = False


def sealed(seal: Seal) -> str:
    """As a thoughtSignature."""
    if seal.vendor == "gemini":
        return seal.signature
    return base64.b64encode(MARK + msgspec.json.encode(seal)).decode()


UNSIGNED: Final = sealed(Seal("openai", ""))
"""Of a call that nobody signed."""


def unsealed(signature: str, *, redacted: bool) -> Seal:
    """Gemini's own where it was not sealed here; `redacted` then says whether it stood in a part without a thought's words."""
    try:
        padded = signature.replace("-", "+").replace("_", "/") + "=" * (-len(signature) % 4)
        data = base64.b64decode(padded, validate=True)
        if data.startswith(MARK):
            return msgspec.json.decode(data[len(MARK) :], type=Seal)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        pass  # whatever it is, it is not ours
    return Seal("gemini", signature, redacted)
