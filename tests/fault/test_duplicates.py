"""Usage events that come twice, late and out of order are charged once."""

import random

from tests.fault.driver import Record, load
from tests.fault.faults.stream import publish_again
from tests.fault.oracle import assert_consistent
from tests.fault.world import World


async def test_thirty_percent_of_usage_events_published_again_shuffled_are_charged_once(
    world: World, record: Record, seed: int, rng: random.Random
) -> None:
    # given load on four edges
    keys = [world.key("20") for _ in range(2)]
    # when, meanwhile, 30 % of the raw messages are published again, shuffled, under new message ids
    async with load(record, keys, rng):
        repeated = await publish_again(world, rng, for_s=2.0)
    assert repeated > 20
    # then each call is charged once
    assert_consistent(record, commands=True)
