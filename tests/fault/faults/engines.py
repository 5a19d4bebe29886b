"""NATS and PostgreSQL killed, restarted in order, and NATS standing still."""

import asyncio
import random
from typing import Final

from tests.fault.faults.fault import Fault
from tests.fault.world import World
from tt_sandbox.stack.service import Service


async def nats_killed(world: World, edge: Service, rng: random.Random) -> None:
    world.stack.nats.kill()
    await asyncio.sleep(rng.uniform(0, 1.5))
    await asyncio.to_thread(world.stack.nats.start)


async def nats_restarted(world: World, edge: Service, rng: random.Random) -> None:
    await asyncio.to_thread(world.stack.nats.restart)


async def nats_paused(world: World, edge: Service, rng: random.Random) -> None:
    world.stack.nats.pause()
    try:
        await asyncio.sleep(rng.uniform(0.3, 4.0))
    finally:
        world.stack.nats.resume()


async def postgres_killed(world: World, edge: Service, rng: random.Random) -> None:
    world.stack.postgres.kill()
    await asyncio.sleep(rng.uniform(0, 1.5))
    await asyncio.to_thread(world.stack.postgres.start)


async def postgres_restarted(world: World, edge: Service, rng: random.Random) -> None:
    await asyncio.to_thread(world.stack.postgres.restart)


FAULTS: Final = (
    Fault(nats_killed, "nats"),
    Fault(nats_restarted, "nats"),
    Fault(nats_paused, "nats"),
    Fault(postgres_killed, "postgres"),
    Fault(postgres_restarted, "postgres"),
)
