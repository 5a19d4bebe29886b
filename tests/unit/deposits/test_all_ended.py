"""Of several requests none goes on when the caller knows how they went."""

import asyncio

import pytest

from tt_deposits.usecases.all_ended import all_ended, both_ended


class Slow:
    """A request that takes a while to answer, and to wind up."""

    def __init__(self) -> None:
        self.ended = False

    async def ask(self) -> str:
        try:
            await asyncio.sleep(0.05)
            return "slow"
        finally:
            await asyncio.sleep(0.01)
            self.ended = True


async def fails(message: str) -> str:
    raise ValueError(message)


async def answers(text: str) -> str:
    return text


async def test_answers_come_in_the_order_of_the_requests() -> None:
    assert await all_ended([Slow().ask(), answers("quick")]) == ["slow", "quick"]
    assert await both_ended(Slow().ask(), answers("quick")) == ("slow", "quick")


async def test_the_first_failure_is_told_when_all_have_ended() -> None:
    for together in (
        lambda slow: all_ended([fails("first"), slow.ask(), fails("second")]),
        lambda slow: both_ended(fails("first"), slow.ask()),
    ):
        slow = Slow()
        with pytest.raises(ValueError, match="first"):
            await together(slow)
        assert slow.ended


async def test_who_is_cancelled_has_left_nothing_under_way() -> None:
    slow, other = Slow(), Slow()
    task = asyncio.create_task(both_ended(slow.ask(), other.ask()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert slow.ended
    assert other.ended
