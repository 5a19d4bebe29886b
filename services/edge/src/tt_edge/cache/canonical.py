"""When are two requests the same? Where their canonical forms are: sorted keys, no white space, no escapes that aren't needed.

Numbers stay as they were written: whether 1 and 1.0 mean the same is the provider's business. Fields that don't change what the
model says are left out.
"""

import hashlib
from typing import Final

import msgspec

IGNORED_FIELDS: Final = frozenset({"stream", "stream_options", "user", "metadata"})


def _as_written(number: str) -> msgspec.Raw:
    return msgspec.Raw(number.encode())


_decoder = msgspec.json.Decoder(float_hook=_as_written)
_encoder = msgspec.json.Encoder(order="sorted")


def request_hash(endpoint: str, fields: dict[str, msgspec.Raw]) -> str | None:
    """Hex SHA-256 of the canonical request, or None where it has none (text that is no Unicode, nesting without end)."""
    kept = {name: value for name, value in fields.items() if name not in IGNORED_FIELDS}
    try:
        canonical = _encoder.encode(_decoder.decode(msgspec.json.encode(kept)))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return hashlib.sha256(endpoint.encode() + b"\n" + canonical).hexdigest()
