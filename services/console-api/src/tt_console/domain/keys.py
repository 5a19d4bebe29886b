"""API keys: what they are and how they may change.

Invariant: the plaintext exists only in the value that `new_plaintext` returns; a key keeps its hash and a few characters for display.
Every change raises the revision by one.
"""

import ipaddress
import secrets
from typing import Final, Literal

import msgspec

from tt_common.errors import DomainError
from tt_common.ids import sha256_hex

KEYS_PER_ACCOUNT_MAX: Final = 500
NAME_LENGTH_MAX: Final = 100
MODELS_MAX: Final = 200
IP_RANGES_MAX: Final = 100
RATE_LIMIT_MAX: Final = 1_000_000_000
SECRET_BYTES: Final = 32
SHOWN_START: Final = 4
SHOWN_END: Final = 4

KeyState = Literal["active", "disabled", "deleted"]
KeyChange = Literal["created", "updated", "rotated", "disabled", "enabled", "deleted"]


class KeySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the owner may edit. Limits of None are no limits; money in nanoUSD, times in Unix milliseconds."""

    name: str
    monthly_limit_nanousd: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    models: tuple[str, ...] | None = None
    ip_ranges: tuple[str, ...] | None = None
    expires_at_ms: int | None = None
    cache: bool = False


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key as stored. `display` is its start and end, such as `sk-Ab…wxyz`."""

    id: str
    account_id: str
    hash: str
    display: str
    status: KeyState
    kind: Literal["wallet", "byok"]
    revision: int
    settings: KeySettings
    created_at_ms: int
    updated_at_ms: int


def new_plaintext(prefix: str) -> str:
    """A fresh key: the deployment's prefix and 43 url-safe characters (256 random bits)."""
    return prefix + secrets.token_urlsafe(SECRET_BYTES)


def key_hash(plaintext: str) -> str:
    """How a key is found: hex SHA-256. A plain hash is enough for 256 random bits."""
    return sha256_hex(plaintext)


def display_of(plaintext: str, prefix: str) -> str:
    """The key's prefix, its first and its last characters."""
    return f"{plaintext[: len(prefix) + SHOWN_START]}…{plaintext[-SHOWN_END:]}"


def made(key_id: str, account_id: str, plaintext: str, prefix: str, settings: KeySettings, now_ms: int) -> Key:
    """A new active key."""
    return Key(
        id=key_id,
        account_id=account_id,
        hash=key_hash(plaintext),
        display=display_of(plaintext, prefix),
        status="active",
        kind="wallet",
        revision=1,
        settings=settings,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
    )


def edited(key: Key, settings: KeySettings, now_ms: int) -> Key:
    """The key with other settings."""
    return msgspec.structs.replace(key, settings=settings, revision=key.revision + 1, updated_at_ms=now_ms)


def with_status(key: Key, status: KeyState, now_ms: int) -> Key:
    """Disabled, enabled or deleted; the same key when it already is."""
    if key.status == status:
        return key
    return msgspec.structs.replace(key, status=status, revision=key.revision + 1, updated_at_ms=now_ms)


def rotated(key: Key, plaintext: str, prefix: str, now_ms: int) -> Key:
    """The key under a new plaintext; id, status and settings stay."""
    return msgspec.structs.replace(
        key,
        hash=key_hash(plaintext),
        display=display_of(plaintext, prefix),
        revision=key.revision + 1,
        updated_at_ms=now_ms,
    )


def normal_ip_ranges(ranges: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses and CIDR ranges in canonical form, without repeats. Raises DomainError invalid_ip_range."""
    normal: dict[str, None] = {}
    for text in ranges:
        try:
            normal[str(ipaddress.ip_network(text.strip(), strict=False))] = None
        except ValueError:
            raise DomainError(
                "invalid_ip_range", f"{text[:60]!r} is not an IP address or CIDR range", param="ip_ranges"
            ) from None
    return tuple(normal)
