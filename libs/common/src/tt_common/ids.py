"""Identifiers: time-ordered, unguessable enough to be names, never secrets.

A new id is `<prefix>_<32 hex digits of a UUIDv7>`; event ids are bare UUIDs. A derived id is a function of its parts, so that
a retry of the same command names the same thing.
"""

import hashlib
import os
import time
import uuid


def uuid7() -> uuid.UUID:
    """A UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random_bits = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & 0xFFFFFFFFFFFF) << 80
    value |= 0x7 << 76
    value |= ((random_bits >> 62) & 0xFFF) << 64
    value |= 0b10 << 62
    value |= random_bits & 0x3FFFFFFFFFFFFFFF
    return uuid.UUID(int=value)


def new_id(prefix: str) -> str:
    """`prefix_` and the hex digits of a fresh UUIDv7; sorts by creation time within a prefix."""
    return f"{prefix}_{uuid7().hex}"


def new_event_id() -> str:
    """The canonical text of a fresh UUIDv7, as `ce-id` and `Nats-Msg-Id` carry it."""
    return str(uuid7())


def derived_event_id(*parts: str) -> str:
    """A UUIDv8 made of the SHA-256 of `parts`: the same parts, the same id."""
    digest = bytearray(hashlib.sha256("\x1f".join(parts).encode()).digest()[:16])
    digest[6] = (digest[6] & 0x0F) | 0x80
    digest[8] = (digest[8] & 0x3F) | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))


def sha256_hex(text: str) -> str:
    """Hex SHA-256 of UTF-8 text: how API keys and idempotency keys are stored."""
    return hashlib.sha256(text.encode()).hexdigest()
