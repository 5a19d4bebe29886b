"""TRON addresses as text: base58check of 0x41 and 20 bytes. Raises ValueError for anything that is none."""

import hashlib
from typing import Final

ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
PREFIX: Final = b"\x41"
CHECKSUM_BYTES: Final = 4
ADDRESS_BYTES: Final = 20
TEXT_MAX: Final = 128

_VALUES: Final = {letter: value for value, letter in enumerate(ALPHABET)}


def encode_check(payload: bytes) -> str:
    """base58check of any payload."""
    data = payload + _checksum(payload)
    number = int.from_bytes(data, "big")
    letters: list[str] = []
    while number:
        number, value = divmod(number, 58)
        letters.append(ALPHABET[value])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return ALPHABET[0] * zeros + "".join(reversed(letters))


def decode_check(text: str) -> bytes:
    """The payload of base58check text."""
    if not 0 < len(text) <= TEXT_MAX:
        raise ValueError("not base58check")
    number = 0
    for letter in text:
        value = _VALUES.get(letter)
        if value is None:
            raise ValueError("not base58check")
        number = number * 58 + value
    zeros = len(text) - len(text.lstrip(ALPHABET[0]))
    data = b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")
    payload, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    if len(data) <= CHECKSUM_BYTES or checksum != _checksum(payload):
        raise ValueError("not base58check")
    return payload


def address_text(address: bytes) -> str:
    """The 20 bytes of an address as `T…`."""
    if len(address) != ADDRESS_BYTES:
        raise ValueError("an address has 20 bytes")
    return encode_check(PREFIX + address)


def address_bytes(text: str) -> bytes:
    """The 20 bytes of `T…`."""
    payload = decode_check(text)
    if len(payload) != ADDRESS_BYTES + 1 or payload[:1] != PREFIX:
        raise ValueError("not a TRON address")
    return payload[1:]


def _checksum(payload: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:CHECKSUM_BYTES]
