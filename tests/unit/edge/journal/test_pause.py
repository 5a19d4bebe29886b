"""A cancellation that an answer swallowed still ends the loop."""

import asyncio

import pytest

from tt_edge.clients.pause import pause


async def test_a_swallowed_cancellation_is_raised_by_the_next_pause() -> None:
    # given a loop that is cancelled in the moment in which its answer arrives, and loses the cancellation
    waiting = asyncio.Event()

    async def loop() -> None:
        waiting.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass  # as wait_for does
        while True:
            await pause(0.01)

    task = asyncio.create_task(loop())
    await waiting.wait()
    task.cancel()
    # then it ends all the same
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 2)
