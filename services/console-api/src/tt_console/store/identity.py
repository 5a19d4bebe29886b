"""Accounts, users, sessions and counted attempts."""

import logging
from typing import Any

from sqlalchemy import case, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Row
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tt_console.domain.accounts import Session, User
from tt_console.domain.throttle import Attempt
from tt_console.store.tables import accounts, attempts, sessions, users

log = logging.getLogger(__name__)

SWEEP_MAX = 5000


class IdentityStore:
    """Fulfils `usecases.ports.Identity` on the caller's transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add_account(self, account_id: str, now_ms: int) -> None:
        await self._connection.execute(accounts.insert().values(id=account_id, created_at_ms=now_ms))

    async def lock_account(self, account_id: str) -> bool:
        query = select(accounts.c.id).where(accounts.c.id == account_id).with_for_update()
        return (await self._connection.execute(query)).first() is not None

    async def add_user(self, user: User) -> bool:
        statement = insert(users).values(
            id=user.id,
            account_id=user.account_id,
            email=user.email,
            password_hash=user.password_hash,
            role=user.role,
            created_at_ms=user.created_at_ms,
        )
        done = await self._connection.execute(
            statement.on_conflict_do_nothing(index_elements=["email"]).returning(users.c.id)
        )
        return done.first() is not None

    async def update_user(self, user: User) -> None:
        await self._connection.execute(
            update(users).where(users.c.id == user.id).values(password_hash=user.password_hash, role=user.role)
        )

    async def user_by_email(self, email: str) -> User | None:
        row = (await self._connection.execute(select(users).where(users.c.email == email))).first()
        return _user(row) if row else None

    async def lock_user_by_email(self, email: str) -> User | None:
        row = (await self._connection.execute(select(users).where(users.c.email == email).with_for_update())).first()
        return _user(row) if row else None

    async def add_session(self, session: Session, now_ms: int) -> None:
        await self._connection.execute(
            sessions.insert().values(
                token_hash=session.token_hash,
                user_id=session.user.id,
                csrf_token=session.csrf_token,
                created_at_ms=now_ms,
                expires_at_ms=session.expires_at_ms,
                last_used_at_ms=session.last_used_at_ms,
            )
        )

    async def end_session(self, token_hash: str) -> None:
        await self._connection.execute(delete(sessions).where(sessions.c.token_hash == token_hash))

    async def end_sessions_of(self, user_id: str) -> None:
        await self._connection.execute(delete(sessions).where(sessions.c.user_id == user_id))

    async def touch_session(self, token_hash: str, now_ms: int) -> None:
        """Remember that the session was used."""
        await self._connection.execute(
            update(sessions).where(sessions.c.token_hash == token_hash).values(last_used_at_ms=now_ms)
        )

    async def count_attempt(self, kind: Attempt, subject: str, window_s: int, now_ms: int) -> tuple[int, int]:
        over = attempts.c.window_ends_at_ms <= now_ms
        ends_at_ms = now_ms + window_s * 1000
        statement = insert(attempts).values(kind=kind, subject=subject, count=1, window_ends_at_ms=ends_at_ms)
        statement = statement.on_conflict_do_update(
            index_elements=["kind", "subject"],
            set_={
                "count": case((over, 1), else_=func.least(attempts.c.count + 1, 1_000_000)),
                "window_ends_at_ms": case((over, ends_at_ms), else_=attempts.c.window_ends_at_ms),
            },
        ).returning(attempts.c.count, attempts.c.window_ends_at_ms)
        row = (await self._connection.execute(statement)).one()
        return row[0], row[1]

    async def forgive_attempt(self, kind: Attempt, subject: str) -> None:
        here = (attempts.c.kind == kind) & (attempts.c.subject == subject)
        await self._connection.execute(
            update(attempts).where(here).values(count=func.greatest(attempts.c.count - 1, 0))
        )

    async def sweep(self, now_ms: int) -> None:
        """Remove sessions and attempt windows that are over, a bounded number."""
        old_sessions = select(sessions.c.token_hash).where(sessions.c.expires_at_ms <= now_ms).limit(SWEEP_MAX)
        await self._connection.execute(delete(sessions).where(sessions.c.token_hash.in_(old_sessions)))
        await self._connection.execute(delete(attempts).where(attempts.c.window_ends_at_ms <= now_ms))


async def find_session(connection: AsyncConnection, token_hash: str, now_ms: int) -> Session | None:
    """The session with its user, unless it is over."""
    query = (
        select(
            users, sessions.c.token_hash, sessions.c.csrf_token, sessions.c.expires_at_ms, sessions.c.last_used_at_ms
        )
        .join(sessions, users.c.id == sessions.c.user_id)
        .where(sessions.c.token_hash == token_hash, sessions.c.expires_at_ms > now_ms)
    )
    row = (await connection.execute(query)).first()
    if row is None:
        return None
    return Session(
        token_hash=row.token_hash,
        user=_user(row),
        csrf_token=row.csrf_token,
        expires_at_ms=row.expires_at_ms,
        last_used_at_ms=row.last_used_at_ms,
    )


async def session_stands(engine: AsyncEngine, token_hash: str, now_ms: int) -> bool:
    """Whether one who was signed in still is; a database that does not answer now takes nobody's session away."""
    try:
        async with engine.connect() as connection:
            return await find_session(connection, token_hash, now_ms) is not None
    except (SQLAlchemyError, OSError) as error:
        log.info("session not looked at", extra={"error": type(error).__name__})
        return True


async def list_accounts(
    connection: AsyncConnection, limit: int, before: str | None, search: str | None
) -> list[dict[str, Any]]:
    """Accounts with their users' emails and roles, newest first; `search` is a part of an email or a whole account id."""
    query = select(
        accounts.c.id,
        accounts.c.created_at_ms,
        func.json_agg(func.json_build_object("id", users.c.id, "email", users.c.email, "role", users.c.role)).label(
            "users"
        ),
    ).join(users, users.c.account_id == accounts.c.id)
    if before is not None:
        query = query.where(accounts.c.id < before)
    if search:
        found = select(users.c.account_id).where(users.c.email.contains(search.lower(), autoescape=True))
        query = query.where(or_(accounts.c.id == search, accounts.c.id.in_(found)))
    query = query.group_by(accounts.c.id).order_by(accounts.c.id.desc()).limit(limit)
    return [dict(row) for row in (await connection.execute(query)).mappings()]


async def get_account(connection: AsyncConnection, account_id: str) -> dict[str, Any] | None:
    """One account in the shape of `list_accounts`."""
    found = [a for a in await list_accounts(connection, 2, None, account_id) if a["id"] == account_id]
    return found[0] if found else None


def _user(row: Row[Any]) -> User:
    return User(
        id=row.id,
        account_id=row.account_id,
        email=row.email,
        password_hash=row.password_hash,
        role=row.role,
        created_at_ms=row.created_at_ms,
    )
