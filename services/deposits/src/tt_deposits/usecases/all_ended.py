"""Several requests at once, of which none goes on behind the caller's back: all have ended before the first failure is told.

`asyncio.gather` alone leaves the others running when one fails, and when it is cancelled while one of them winds up.
"""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

AnswerT = TypeVar("AnswerT")
FirstT = TypeVar("FirstT")
SecondT = TypeVar("SecondT")


async def all_ended(asked: Iterable[Awaitable[AnswerT]]) -> list[AnswerT]:
    """The answers in the order of the requests. Raises the first failure in that order."""
    found: list[AnswerT] = []
    for result in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
        found.append(result)
    return found


async def both_ended(first: Awaitable[FirstT], second: Awaitable[SecondT]) -> tuple[FirstT, SecondT]:
    """The same of two that answer differently."""
    one, other = await asyncio.gather(first, second, return_exceptions=True)
    if isinstance(one, BaseException):
        raise one
    if isinstance(other, BaseException):
        raise other
    return one, other
