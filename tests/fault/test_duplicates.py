"""Usage events that come twice, late and out of order are charged once."""

import asyncio
import random
from typing import Final

from nats.js.api import ConsumerConfig, DeliverPolicy

from tests.fault.driver import Record, load
from tests.fault.oracle import assert_consistent
from tests.fault.world import World
from tt_common.bus.connection import connect
from tt_common.contracts.streams import USAGE
from tt_common.ids import new_event_id

SHARE: Final = 0.3
READ_MAX: Final = 500
READ_WAIT_S: Final = 0.3
NEW_ONLY: Final = ConsumerConfig(deliver_policy=DeliverPolicy.NEW, inactive_threshold=30)


async def test_thirty_percent_of_usage_events_published_again_shuffled_are_charged_once(
    world: World, record: Record, seed: int, rng: random.Random
) -> None:
    # given load on four edges
    keys = [world.key("20") for _ in range(2)]
    # when, meanwhile, 30 % of the raw messages are published again, shuffled, under new message ids
    async with load(record, keys, rng):
        repeated = await _publish_again(world, rng, for_s=2.0)
    assert repeated > 20
    # then each call is charged once
    assert_consistent(record, commands=True)


async def _publish_again(world: World, rng: random.Random, for_s: float) -> int:
    """Repeats a share of USAGE's new messages for `for_s`; the number of messages repeated."""
    nc = await connect(world.stack.nats.url, "tests-duplicates")
    try:
        js = nc.jetstream(timeout=5)
        reader = await js.pull_subscribe(USAGE.subjects[0], stream=USAGE.name, config=NEW_ONLY)
        loop = asyncio.get_running_loop()
        ends_at, repeated = loop.time() + for_s, 0
        while loop.time() < ends_at:
            try:
                messages = await reader.fetch(READ_MAX, timeout=READ_WAIT_S)
            except TimeoutError:
                continue
            chosen = [message for message in messages if rng.random() < SHARE]
            rng.shuffle(chosen)
            for message in chosen:
                # An earlier event's message id would be dropped by the broker and prove nothing.
                headers = {**(message.headers or {}), "Nats-Msg-Id": new_event_id()}
                await js.publish(message.subject, message.data, headers=headers)
            repeated += len(chosen)
            for message in messages:
                await message.ack()
        await reader.unsubscribe()
        return repeated
    finally:
        await nc.close()
