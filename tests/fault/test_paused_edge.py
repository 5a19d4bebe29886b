"""An edge that was stopped past its grants' expiry admits nothing on them when it goes on."""

import asyncio
import random
from typing import Any

from tests.fault.driver import Record, driver
from tests.fault.oracle import assert_consistent
from tests.fault.world import EXACT, SOFT_TTL_S, World


async def test_an_edge_paused_past_its_grants_soft_expiry_uses_none_of_them_afterwards(
    world: World, record: Record, seed: int, rng: random.Random
) -> None:
    # given an edge with a grant in hand and streams under way
    key = world.key("1")
    frozen = rng.randrange(4)
    async with driver(record) as sender:
        slow = {"output_tokens": 200, "chunk_delay_ms": 10}
        streams = [
            asyncio.create_task(sender.call(key, frozen, model=EXACT, stream=True, max_tokens=200, switches=slow))
            for _ in range(5)
        ]
        await asyncio.sleep(0.5)
        before = {row["grant_id"] for row in _grants(world, key.account_id)}
        assert before
        # when it stands still for longer than the grant is good for, and then gets calls
        world.edges[frozen].pause()
        await asyncio.sleep(SOFT_TTL_S + 1)
        late = [
            asyncio.create_task(sender.call(key, frozen, model=EXACT, max_tokens=10, switches={"output_tokens": 10}))
            for _ in range(5)
        ]
        await asyncio.sleep(0.2)
        world.edges[frozen].resume()
        await asyncio.gather(*streams, *late)
    # then what was under way is billed on the old grant, and every call that came late on terms got after the pause
    events = assert_consistent(record)
    assert record.failures() == []
    of_late = {events[task.result().request_id] for task in late}
    renewed = {row["grant_id"]: row["revision"] for row in _grants(world, key.account_id)}
    assert all(event.grant_id not in before or renewed[event.grant_id] > 1 for event in of_late)


def _grants(world: World, account_id: str) -> list[dict[str, Any]]:
    return world.billing_rows("SELECT grant_id, revision, state FROM grants WHERE account_id = %s", account_id)
