"""Clients that leave in the middle of a stream: their holds end, what was delivered is billed, and nothing else."""

import asyncio
import random
from collections import Counter
from typing import Final

from tests.fault.driver import Driver, Record, driver
from tests.fault.oracle import assert_consistent
from tests.fault.world import CHAT, Key, World

CLIENTS: Final = 1000
AT_ONCE: Final = 200


async def test_a_thousand_clients_that_leave_mid_stream_are_billed_for_what_was_delivered(
    world: World, record: Record, seed: int, rng: random.Random
) -> None:
    # given a thousand streams over four edges, some that end within the drain of 2 s and some that would go on for long
    key = world.key("50")
    places = asyncio.Semaphore(AT_ONCE)
    # when each client leaves after the first bytes of its stream
    async with driver(record) as sender:
        await asyncio.gather(*(_leave(sender, key, number, places, rng) for number in range(CLIENTS)))
    assert {sent.outcome for sent in record.sent} == {"partial"}
    # then nothing is held any more, and each is charged by the provider's figure or an estimate of what was delivered
    events = assert_consistent(record)
    assert len(events) == CLIENTS
    outcomes = Counter((event.outcome, event.usage_source) for event in events.values())
    assert set(outcomes) <= {
        ("client_disconnected", "provider"),
        ("client_disconnected", "estimated"),
        ("succeeded", "provider"),
    }
    assert outcomes["client_disconnected", "provider"] > 0
    assert outcomes["client_disconnected", "estimated"] > 0


async def _leave(sender: Driver, key: Key, number: int, places: asyncio.Semaphore, rng: random.Random) -> None:
    long = number % 4 == 0
    switches = {"output_tokens": 400 if long else 20, "chunk_delay_ms": 20}
    async with places:
        await sender.call(
            key,
            number % 4,
            model=CHAT,
            stream=True,
            leave_after=rng.randint(1, 1500),
            max_tokens=500,
            switches=switches,
        )
