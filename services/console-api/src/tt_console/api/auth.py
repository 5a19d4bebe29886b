"""Sign up, in and out; who am I."""

from typing import Literal

from email_validator import EmailNotValidError, validate_email
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from tt_common.clock import now_ms
from tt_common.errors import DomainError
from tt_console.api.context import ContextDep
from tt_console.api.session import (
    COOKIE,
    SessionDep,
    actor_of,
    check_origin,
    client_address,
    drop_cookie,
    set_cookie,
)
from tt_console.domain.accounts import EMAIL_LENGTH_MAX, PASSWORD_LENGTH_MAX, Role, Session
from tt_console.usecases.log_in import count_attempts, log_in, neighbourhood, open_session
from tt_console.usecases.sign_up import sign_up

router = APIRouter(prefix="/auth", tags=["auth"])


class Credentials(BaseModel):
    """What one signs up or in with."""

    model_config = ConfigDict(extra="forbid")

    email: str = Field(max_length=EMAIL_LENGTH_MAX)
    password: str = Field(max_length=PASSWORD_LENGTH_MAX)


class UserOut(BaseModel):
    """One who is signed in; `csrf_token` goes into X-CSRF-Token of every request but GET."""

    object: Literal["user"] = "user"
    id: str
    account_id: str
    email: str
    role: Role
    csrf_token: str


@router.post("/signup", status_code=201, dependencies=[Depends(check_origin)])
async def post_signup(body: Credentials, request: Request, response: Response, context: ContextDep) -> UserOut:
    """Make an account and sign in to it."""
    email = _checked_email(body.email)
    now = now_ms()
    address = client_address(request, context)
    await count_attempts(context.database, [("signup_address", neighbourhood(address))], now)
    actor = actor_of(request, context, name=email)
    user = await sign_up(context.database, context.passwords, email, body.password, actor, now)
    ttl_s = context.settings.session_ttl_s
    session, token = await open_session(context.database, user, ttl_s, request.cookies.get(COOKIE), now)
    set_cookie(response, context.settings, token)
    return _user_out(session)


@router.post("/login", dependencies=[Depends(check_origin)])
async def post_login(body: Credentials, request: Request, response: Response, context: ContextDep) -> UserOut:
    """Sign in: sets the session cookie. The session that the browser had before ends."""
    session, token = await log_in(
        context.database,
        context.passwords,
        body.email,
        body.password,
        client_address(request, context),
        context.settings.session_ttl_s,
        request.cookies.get(COOKIE),
        now_ms(),
    )
    set_cookie(response, context.settings, token)
    return _user_out(session)


@router.post("/logout", status_code=204)
async def post_logout(session: SessionDep, response: Response, context: ContextDep) -> None:
    """End the session."""
    async with context.database.transaction() as unit:
        await unit.identity.end_session(session.token_hash)
    drop_cookie(response, context.settings)


@router.get("/me")
async def get_me(session: SessionDep) -> UserOut:
    """Who is signed in."""
    return _user_out(session)


def _user_out(session: Session) -> UserOut:
    user = session.user
    return UserOut(
        id=user.id, account_id=user.account_id, email=user.email, role=user.role, csrf_token=session.csrf_token
    )


def _checked_email(text: str) -> str:
    try:
        return validate_email(text.strip(), check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise DomainError("invalid_email", str(error), param="email") from None
