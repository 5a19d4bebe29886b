"""Sign in and out. An attempt is counted before the password is looked at, so that many at once can't outrun the limit."""

import ipaddress
import secrets

from tt_common.errors import DomainError
from tt_common.ids import sha256_hex
from tt_console.domain.accounts import SESSION_TOKEN_BYTES, Session, User, normal_email
from tt_console.domain.throttle import LIMITS, Attempt, retry_after_s
from tt_console.usecases.ports import Database, Passwords


async def log_in(
    database: Database,
    passwords: Passwords,
    email: str,
    password: str,
    address: str,
    session_ttl_s: int,
    previous_token: str | None,
    now_ms: int,
) -> tuple[Session, str]:
    """A new session and its token for the cookie; the session that the browser had before ends.

    Raises too_many_attempts {retry_after_s}, wrong_credentials (the same for an unknown email).
    """
    email = normal_email(email)
    counted: list[tuple[Attempt, str]] = [("login_email", sha256_hex(email)), ("login_address", neighbourhood(address))]
    await count_attempts(database, counted, now_ms)
    async with database.transaction() as unit:
        user = await unit.identity.user_by_email(email)
    right = await passwords.matches(user.password_hash if user else None, password)
    if user is None or not right:
        raise DomainError("wrong_credentials", "the email or the password is wrong")
    async with database.transaction() as unit:
        for kind, subject in counted:
            await unit.identity.forgive_attempt(kind, subject)
    return await open_session(database, user, session_ttl_s, previous_token, now_ms)


async def open_session(
    database: Database, user: User, session_ttl_s: int, previous_token: str | None, now_ms: int
) -> tuple[Session, str]:
    """A session for one whose identity is certain, and its token; the session named by `previous_token` ends."""
    token = secrets.token_urlsafe(SESSION_TOKEN_BYTES)
    session = Session(
        token_hash=sha256_hex(token),
        user=user,
        csrf_token=secrets.token_urlsafe(SESSION_TOKEN_BYTES),
        expires_at_ms=now_ms + session_ttl_s * 1000,
        last_used_at_ms=now_ms,
    )
    async with database.transaction() as unit:
        if previous_token is not None:
            await unit.identity.end_session(sha256_hex(previous_token))
        await unit.identity.add_session(session, now_ms)
    return session, token


async def count_attempts(database: Database, counted: list[tuple[Attempt, str]], now_ms: int) -> None:
    """Counts one attempt a subject, for good; raises too_many_attempts when one of them is over its limit."""
    waits: list[int] = []
    async with database.transaction() as unit:
        for kind, subject in counted:
            limit = LIMITS[kind]
            count, ends_at_ms = await unit.identity.count_attempt(kind, subject, limit.window_s, now_ms)
            wait_s = retry_after_s(count, ends_at_ms, now_ms, limit)
            if wait_s is not None:
                waits.append(wait_s)
    if waits:
        raise DomainError("too_many_attempts", "too many attempts; wait and try again", retry_after_s=max(waits))


def neighbourhood(address: str) -> str:
    """Whom an address stands for: itself, or the /64 of an IPv6 address, which one customer has to itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)
