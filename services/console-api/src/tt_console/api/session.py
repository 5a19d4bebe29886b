"""Who is asking: the cookie's session, its CSRF token, the client's address, the audit log's actor.

Invariant: a request that can change anything needs the session's token in X-CSRF-Token, and an Origin, where the browser sends one,
that is our own. The cookie's value is never stored or logged, only its hash.
"""

import hmac
import ipaddress
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Header, Request, Response

from tt_common.clock import now_ms
from tt_common.errors import DomainError
from tt_common.ids import sha256_hex
from tt_console.api.context import Context, ContextDep
from tt_console.domain.accounts import Session
from tt_console.domain.audit import Actor
from tt_console.settings import ConsoleSettings
from tt_console.store.identity import find_session

COOKIE: Final = "tt_session"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
TOUCH_EVERY_MS: Final = 60_000
FORWARDED_MAX: Final = 20


async def check_origin(request: Request, context: ContextDep) -> None:
    """Raises origin_refused for another site's page; requests without an Origin are no browser's."""
    origin = request.headers.get("origin")
    if origin is None or request.method in SAFE_METHODS or origin in context.settings.allowed_origins:
        return
    if urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
        raise DomainError("origin_refused", "this origin may not call the API")


async def current_session(
    request: Request,
    context: ContextDep,
    _origin: Annotated[None, Depends(check_origin)],
    x_csrf_token: Annotated[
        str | None, Header(description="the session's csrf_token; needed for all but GET requests")
    ] = None,
) -> Session:
    """Raises not_signed_in, csrf_failed."""
    token = request.cookies.get(COOKIE)
    now = now_ms()
    session = None
    if token:
        async with context.database.reading() as connection:
            session = await find_session(connection, sha256_hex(token), now)
    if session is None:
        raise DomainError("not_signed_in", "sign in first: POST /api/v1/auth/login")
    if request.method not in SAFE_METHODS and not hmac.compare_digest(
        (x_csrf_token or "").encode(), session.csrf_token.encode()
    ):
        raise DomainError("csrf_failed", "the X-CSRF-Token header must be the session's csrf_token")
    if now - session.last_used_at_ms > TOUCH_EVERY_MS:
        async with context.database.transaction() as unit:
            await unit.identity.touch_session(session.token_hash, now)
    return session


SessionDep = Annotated[Session, Depends(current_session)]


async def operator_session(session: SessionDep) -> Session:
    """Raises not_allowed for customers."""
    if session.user.role != "operator":
        raise DomainError("not_allowed", "only operators may do this")
    return session


OperatorDep = Annotated[Session, Depends(operator_session)]


def client_address(request: Request, context: Context) -> str:
    """The socket's address, or, behind proxies that the settings name, the last one in X-Forwarded-For that is no such proxy."""
    address = request.client.host if request.client else ""
    forwarded = [part.strip() for part in request.headers.get("x-forwarded-for", "").split(",") if part.strip()]
    for candidate in reversed(forwarded[-FORWARDED_MAX:]):
        if not _trusted(address, context):
            break
        address = candidate
    return address[:64]


def actor_of(request: Request, context: Context, session: Session | None = None, name: str = "") -> Actor:
    """For the audit log."""
    return Actor(
        kind="user",
        name=session.user.email if session else name,
        user_id=session.user.id if session else None,
        address=client_address(request, context),
        request_id=request.state.request_id,
    )


def set_cookie(response: Response, settings: ConsoleSettings, token: str) -> None:
    """HttpOnly, SameSite=Lax, for the whole site."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=settings.session_ttl_s,
        path="/",
        secure=cookie_secure(settings),
        httponly=True,
        samesite="lax",
    )


def drop_cookie(response: Response, settings: ConsoleSettings) -> None:
    response.delete_cookie(COOKIE, path="/", secure=cookie_secure(settings), httponly=True, samesite="lax")


def cookie_secure(settings: ConsoleSettings) -> bool:
    """The setting, or yes unless the service listens on a loopback address."""
    if settings.cookie_secure is not None:
        return settings.cookie_secure
    if settings.host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        return True


def _trusted(address: str, context: Context) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in context.trusted_proxies)
