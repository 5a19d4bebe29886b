"""Argon2id in threads, a bounded number at once: each hash takes 64 MiB and some 50 ms of a core.

Invariant: an unknown user costs as much as a wrong password. Never logs or keeps a password.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tt_common.errors import Unavailable

AT_ONCE_MAX: Final = 2
WAITING_MAX: Final = 64

ResultT = TypeVar("ResultT")


class Argon2Passwords:
    """Fulfils `usecases.ports.Passwords`."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._turn = asyncio.Semaphore(AT_ONCE_MAX)
        self._waiting = 0
        self._nobody = self._hasher.hash("nobody's password")

    async def hash(self, password: str) -> str:
        return await self._bounded(self._hasher.hash, password)

    async def matches(self, password_hash: str | None, password: str) -> bool:
        right = await self._bounded(self._verify, password_hash or self._nobody, password)
        return right and password_hash is not None

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _bounded(self, work: Callable[..., ResultT], *args: str) -> ResultT:
        if self._waiting >= WAITING_MAX:
            raise Unavailable("too many sign-ins at once; try again", code="busy", retry_after_s=1)
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(work, *args)
        finally:
            self._waiting -= 1
