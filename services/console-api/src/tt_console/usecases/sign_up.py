"""Make an account with its first user; make or promote an operator."""

import msgspec

from tt_common.errors import DomainError
from tt_common.ids import new_id
from tt_console.domain.accounts import Role, User, check_password, normal_email
from tt_console.domain.audit import SYSTEM, Actor, AuditEntry
from tt_console.domain.messages import account_event
from tt_console.usecases.ports import Database, Passwords, Unit


async def sign_up(
    database: Database, passwords: Passwords, email: str, password: str, actor: Actor, now_ms: int
) -> User:
    """A new customer. Raises weak_password, email_taken."""
    check_password(password)
    password_hash = await passwords.hash(password)
    async with database.transaction() as unit:
        user = await add_user(unit, normal_email(email), password_hash, "customer", actor, now_ms)
    if user is None:
        raise DomainError("email_taken", "there is an account with this email", param="email")
    return user


async def create_operator(database: Database, passwords: Passwords, email: str, password: str, now_ms: int) -> User:
    """An operator with this email and password; one who exists becomes operator, gets the password and is signed out."""
    check_password(password)
    email = normal_email(email)
    password_hash = await passwords.hash(password)
    async with database.transaction() as unit:
        made = await add_user(unit, email, password_hash, "operator", SYSTEM, now_ms)
        if made is not None:
            return made
        user = await unit.identity.lock_user_by_email(email)
        assert user is not None, "an email that is taken has a user"
        changed = msgspec.structs.replace(user, role="operator", password_hash=password_hash)
        await unit.identity.update_user(changed)
        await unit.identity.end_sessions_of(user.id)
        entry = AuditEntry(
            actor=SYSTEM,
            action="user.promoted",
            target=user.id,
            account_id=user.account_id,
            before={"role": user.role},
            after={"role": "operator"},
        )
        await unit.audit(entry, now_ms)
    return changed


async def add_user(unit: Unit, email: str, password_hash: str, role: Role, actor: Actor, now_ms: int) -> User | None:
    """A user with an account of its own, in the caller's transaction; None, and nothing done, when the email is taken."""
    if await unit.identity.lock_user_by_email(email) is not None:
        return None
    user = User(
        id=new_id("usr"),
        account_id=new_id("acc"),
        email=email,
        password_hash=password_hash,
        role=role,
        created_at_ms=now_ms,
    )
    await unit.identity.add_account(user.account_id, now_ms)
    if not await unit.identity.add_user(user):
        raise DomainError("email_taken", "there is an account with this email", param="email")
    entry = AuditEntry(
        actor=actor,
        action="user.created",
        target=user.id,
        account_id=user.account_id,
        after={"email": email, "role": role},
    )
    await unit.audit(entry, now_ms)
    await unit.publish([account_event(user.account_id, now_ms)])
    return user
