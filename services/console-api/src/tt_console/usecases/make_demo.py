"""The demo account of a fresh stack: a user, ten dollars of credit, one key. Safe to repeat.

The credit's request id follows from the account, so that it is given once however often this runs.
"""

import secrets
from typing import Final

import msgspec

from tt_common.contracts.wallets import AdjustWallet
from tt_common.money import NANOUSD_PER_USD
from tt_console.domain.accounts import User
from tt_console.domain.audit import SYSTEM
from tt_console.domain.keys import Key, KeySettings, key_hash
from tt_console.usecases.change_key import rotate_key
from tt_console.usecases.create_key import create_key
from tt_console.usecases.ports import Billing, Database, Passwords
from tt_console.usecases.sign_up import add_user

EMAIL: Final = "demo@example.com"
KEY_NAME: Final = "demo"
CREDIT_NANOUSD: Final = 10 * NANOUSD_PER_USD


class Demo(msgspec.Struct, frozen=True):
    """`password` only when the user was made just now."""

    account_id: str
    plaintext: str
    password: str | None


async def make_demo(
    database: Database, passwords: Passwords, billing: Billing, prefix: str, known_plaintext: str | None, now_ms: int
) -> Demo:
    """The demo key: `known_plaintext` while that is valid, else a new or rotated one."""
    user, password = await _ensure_user(database, passwords, now_ms)
    await billing.adjust(
        AdjustWallet(
            request_id=f"demo-credit:{user.account_id}",
            account_id=user.account_id,
            amount_nanousd=CREDIT_NANOUSD,
            reason="demo credit",
            actor="system",
        )
    )
    plaintext = await _ensure_key(database, user.account_id, prefix, known_plaintext, now_ms)
    return Demo(user.account_id, plaintext, password)


async def _ensure_user(database: Database, passwords: Passwords, now_ms: int) -> tuple[User, str | None]:
    password = secrets.token_urlsafe(15)
    password_hash = await passwords.hash(password)
    async with database.transaction() as unit:
        made = await add_user(unit, EMAIL, password_hash, "customer", SYSTEM, now_ms)
        if made is not None:
            return made, password
        user = await unit.identity.user_by_email(EMAIL)
    assert user is not None, "an email that is taken has a user"
    return user, None


async def _ensure_key(
    database: Database, account_id: str, prefix: str, known_plaintext: str | None, now_ms: int
) -> str:
    async with database.transaction() as unit:
        usable = [key for key in await unit.keys.named(account_id, KEY_NAME) if key.status == "active"]
    if known_plaintext is not None and any(key.hash == key_hash(known_plaintext) for key in usable):
        return known_plaintext
    key: Key
    if usable:
        key, plaintext = await rotate_key(database, account_id, usable[0].id, prefix, SYSTEM, now_ms)
    else:
        key, plaintext = await create_key(database, account_id, KeySettings(name=KEY_NAME), prefix, SYSTEM, now_ms)
    assert key.hash == key_hash(plaintext)
    return plaintext
