"""As much of the protobuf wire format as TRON's transactions and block headers need: varints and byte fields, written in order."""

from typing import Final

_BYTES: Final = 2


def number(field: int, value: int) -> bytes:
    """A varint field; nothing for 0, as proto3 leaves it out."""
    return _varint(field << 3) + _varint(value) if value else b""


def text(field: int, value: bytes) -> bytes:
    """A field of bytes, a string or a message; nothing when it is empty."""
    return _varint(field << 3 | _BYTES) + _varint(len(value)) + value if value else b""


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
