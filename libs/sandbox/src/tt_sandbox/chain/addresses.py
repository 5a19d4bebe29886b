"""TRON addresses: 0x41 and 20 bytes, written as 42 hex digits or as base58check; Keccak-256.

Inside the chain an address is its last 20 bytes, as the EVM has it.
"""

from functools import lru_cache
from hashlib import sha256
from typing import Final

from Crypto.Hash import keccak

PREFIX: Final = b"\x41"
ADDRESS_BYTES: Final = 20
_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_CHECKSUM_BYTES: Final = 4
_BASE58_LENGTH: Final = 34


class NotAnAddress(ValueError):
    """The text names no TRON address."""


def keccak256(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


@lru_cache(maxsize=4096)
def to_base58(address: bytes) -> str:
    """20 bytes as `T…`."""
    payload = PREFIX + address
    number = int.from_bytes(payload + _checksum(payload), "big")
    letters: list[str] = []
    while number:
        number, digit = divmod(number, 58)
        letters.append(_ALPHABET[digit])
    return "".join(reversed(letters))


def to_hex(address: bytes) -> str:
    """20 bytes as `41…`."""
    return (PREFIX + address).hex()


def parse(text: str) -> bytes:
    """The 20 bytes of an address in base58check, or in hex with or without `0x` and `41`. Raises NotAnAddress."""
    if len(text) == _BASE58_LENGTH and text.startswith("T"):
        return _from_base58(text)
    digits = text.removeprefix("0x")
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        raise NotAnAddress(f"{text!r} is no TRON address") from None
    if len(raw) == ADDRESS_BYTES + 1 and raw.startswith(PREFIX):
        return raw[1:]
    if len(raw) == ADDRESS_BYTES:
        return raw
    raise NotAnAddress(f"{text!r} is no TRON address")


def made_up(name: str) -> bytes:
    """An address that nobody has the key of, the same for the same name."""
    return keccak256(name.encode())[-ADDRESS_BYTES:]


def _from_base58(text: str) -> bytes:
    number = 0
    for letter in text:
        digit = _DIGITS.get(letter)
        if digit is None:
            raise NotAnAddress(f"{text!r} is no TRON address: {letter!r} is not of base58")
        number = number * 58 + digit
    raw = number.to_bytes(len(PREFIX) + ADDRESS_BYTES + _CHECKSUM_BYTES, "big")
    payload, checksum = raw[:-_CHECKSUM_BYTES], raw[-_CHECKSUM_BYTES:]
    if not payload.startswith(PREFIX) or checksum != _checksum(payload):
        raise NotAnAddress(f"{text!r} is no TRON address: its checksum does not fit")
    return payload[1:]


def _checksum(payload: bytes) -> bytes:
    return sha256(sha256(payload).digest()).digest()[:_CHECKSUM_BYTES]
