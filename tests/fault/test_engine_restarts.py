"""NATS or PostgreSQL restart under load, politely or by SIGKILL: no event is lost, none is charged twice."""

import asyncio
import random

from tests.fault.driver import Record, load
from tests.fault.oracle import assert_consistent
from tests.fault.world import World


async def test_nats_killed_and_restarted_under_load_loses_no_event(
    world: World, record: Record, seed: int, rng: random.Random
) -> None:
    # given load on four edges
    keys = [world.key("20") for _ in range(3)]
    nats = world.stack.nats
    async with load(record, keys, rng):
        # when NATS is killed and comes back, and then is restarted in order
        await asyncio.sleep(rng.uniform(0.5, 1.5))
        nats.kill()
        await asyncio.sleep(rng.uniform(0.1, 0.6))
        await asyncio.to_thread(nats.start)
        await asyncio.sleep(rng.uniform(0.5, 1.5))
        await asyncio.to_thread(nats.restart)
        await asyncio.sleep(1)
    # then every call is accounted for
    assert_consistent(record, commands=True)


async def test_postgresql_killed_and_restarted_under_load_loses_no_event(
    world: World, record: Record, seed: int, rng: random.Random
) -> None:
    # given load on four edges
    keys = [world.key("20") for _ in range(3)]
    postgres = world.stack.postgres
    async with load(record, keys, rng):
        # when PostgreSQL is killed and recovers, and then is restarted in order
        await asyncio.sleep(rng.uniform(0.5, 1.5))
        postgres.kill()
        await asyncio.sleep(rng.uniform(0.1, 0.6))
        await asyncio.to_thread(postgres.start)
        await asyncio.sleep(rng.uniform(0.5, 1.5))
        await asyncio.to_thread(postgres.restart)
        await asyncio.sleep(1)
    # then every call is accounted for
    assert_consistent(record, commands=True)
