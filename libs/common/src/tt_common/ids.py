"""Identifiers: time-ordered, unguessable enough to be names, never secrets.

A new id is `<prefix>_<32 hex digits of a UUIDv7>`; event ids are bare UUIDs. A derived id is a function of its parts, so that
a retry of the same command names the same thing.
"""

import hashlib
import os
import uuid

from tt_common.clock import now_ms


def uuid7_hex() -> str:
    """The 32 hex digits of a UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then 74 random bits."""
    random_bits = int.from_bytes(os.urandom(10), "big")
    high = now_ms() << 16 | 0x7000 | random_bits >> 68
    return f"{high & 0xFFFFFFFFFFFFFFFF:016x}{1 << 63 | random_bits & 0x3FFFFFFFFFFFFFFF:016x}"


def new_id(prefix: str) -> str:
    """`prefix_` and the hex digits of a fresh UUIDv7; sorts by creation time within a prefix."""
    return f"{prefix}_{uuid7_hex()}"


def new_event_id() -> str:
    """The canonical text of a fresh UUIDv7, as `ce-id` and `Nats-Msg-Id` carry it."""
    digits = uuid7_hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def id_of_event(prefix: str, event_id: str) -> str:
    """`prefix_` and the digits of an event's id: the name of something that belongs to one event alone."""
    return f"{prefix}_{event_id.replace('-', '')}"


def derived_event_id(*parts: str) -> str:
    """A UUIDv8 made of the SHA-256 of `parts`: the same parts, the same id."""
    digest = bytearray(hashlib.sha256("\x1f".join(parts).encode()).digest()[:16])
    digest[6] = (digest[6] & 0x0F) | 0x80
    digest[8] = (digest[8] & 0x3F) | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))


def sha256_hex(text: str) -> str:
    """Hex SHA-256 of UTF-8 text: how API keys and idempotency keys are stored."""
    return hashlib.sha256(text.encode()).hexdigest()
