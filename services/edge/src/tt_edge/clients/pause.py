"""Sleeping in loops that must end when they are cancelled."""

import asyncio


async def pause(delay_s: float) -> None:
    """Sleep, but end a task whose cancellation got lost.

    In Python 3.11 `asyncio.wait_for`, which every request on the bus goes through, drops a cancellation that comes in
    the same moment as the answer.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    await asyncio.sleep(delay_s)
