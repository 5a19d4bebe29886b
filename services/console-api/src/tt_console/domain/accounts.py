"""Accounts and the people who sign in to them.

Invariant: an email is stored lower-case, so that it is unique however it is typed. Never holds a password, only its hash.
"""

from typing import Final, Literal

import msgspec

from tt_common.errors import DomainError

PASSWORD_LENGTH_MIN: Final = 10
PASSWORD_LENGTH_MAX: Final = 256
EMAIL_LENGTH_MAX: Final = 254
SESSION_TOKEN_BYTES: Final = 32

Role = Literal["customer", "operator"]


class User(msgspec.Struct, frozen=True, kw_only=True):
    """One who can sign in; every user belongs to one account."""

    id: str
    account_id: str
    email: str
    password_hash: str
    role: Role
    created_at_ms: int


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A signed-in browser. `token_hash` is what is stored of the cookie."""

    token_hash: str
    user: User
    csrf_token: str
    expires_at_ms: int
    last_used_at_ms: int


def normal_email(text: str) -> str:
    """Trimmed and lower-case. Whether it is an address at all is checked at the border."""
    return text.strip().lower()


def check_password(password: str) -> None:
    """Raises DomainError weak_password."""
    if len(password) < PASSWORD_LENGTH_MIN:
        raise DomainError(
            "weak_password", f"a password has at least {PASSWORD_LENGTH_MIN} characters", param="password"
        )
    if len(password) > PASSWORD_LENGTH_MAX:
        raise DomainError("weak_password", f"a password has at most {PASSWORD_LENGTH_MAX} characters", param="password")
