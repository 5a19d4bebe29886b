"""Clocks that are off by ten minutes: nobody notices."""

import asyncio
import random

from tests.fault.driver import Record, load
from tests.fault.faults.clocks import OFF_S
from tests.fault.faults.fault import restart_with
from tests.fault.oracle import assert_consistent
from tests.fault.world import World
from tt_common.clock import OFFSET_VARIABLE


async def test_no_client_notices_edges_whose_clocks_are_off_by_ten_minutes_either_way(
    world: World, record: Record, seed: int, rng: random.Random
) -> None:
    # given an edge that is ten minutes ahead and one that is as much behind
    off = dict(zip(world.edges[:2], (OFF_S, -OFF_S), strict=True))
    await asyncio.gather(
        *(asyncio.to_thread(restart_with, edge, **{OFFSET_VARIABLE: str(offset)}) for edge, offset in off.items())
    )
    try:
        # when a new model is priced, then every edge serves it at once
        await asyncio.to_thread(world.product.new_model)
        # when calls come, then none fails and all are charged right
        keys = [world.key("20") for _ in range(2)]
        async with load(record, keys, rng, workers=4, failover=False):
            await asyncio.sleep(1.5)
        assert [(sent.status, sent.code) for sent in record.failures()] == []
        assert_consistent(record)
    finally:
        await asyncio.gather(*(asyncio.to_thread(restart_with, edge, **{OFFSET_VARIABLE: "0"}) for edge in off))
