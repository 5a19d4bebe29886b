"""Clocks that are off by ten minutes, events that come a day late, and time that passes for billing alone."""

import asyncio
import random
from typing import Final

from tests.fault.faults.fault import Fault, bring_up, restart_with
from tests.fault.faults.processes import DIES_WITHIN_S
from tests.fault.world import HARD_TTL_S, World
from tt_common.clock import OFFSET_VARIABLE
from tt_sandbox.stack.service import Service

OFF_S: Final = 600
DAY_S: Final = 86_400
SWEEP_S: Final = 1.2
"""A little more than billing's sweeper takes from one look at the grants to the next."""


async def edge_clock_ahead(world: World, edge: Service, rng: random.Random) -> None:
    await _off(edge, OFF_S, rng)


async def edge_clock_behind(world: World, edge: Service, rng: random.Random) -> None:
    await _off(edge, -OFF_S, rng)


async def billing_clock_ahead(world: World, edge: Service, rng: random.Random) -> None:
    await _off(world.billing, OFF_S, rng)


async def billing_clock_behind(world: World, edge: Service, rng: random.Random) -> None:
    await _off(world.billing, -OFF_S, rng)


async def grants_expire_in_use(world: World, edge: Service, rng: random.Random) -> None:
    """Billing's operational clock passes the hard expiry of grants whose edges live: they are lost, and found again."""
    await asyncio.to_thread(world.pass_time, HARD_TTL_S + 1)
    await asyncio.sleep(SWEEP_S)


async def events_a_day_late(world: World, edge: Service, rng: random.Random) -> None:
    """An edge dies with settled calls that it has not published, and is back a day later, by billing's clocks."""
    edge.kill()
    edge.env.update(EDGE_CRASH_AT="after_settled", EDGE_CRASH_AFTER=str(rng.randint(1, 8)))
    try:
        edge.launch()
        await asyncio.to_thread(edge.process.wait, DIES_WITHIN_S)
    finally:
        edge.env.update(EDGE_CRASH_AT="", EDGE_CRASH_AFTER="1")
        edge.kill()
    await asyncio.to_thread(restart_with, world.billing, **{OFFSET_VARIABLE: str(DAY_S)})
    try:
        for seconds in (HARD_TTL_S + 1, DAY_S):
            await asyncio.to_thread(world.pass_time, seconds)
            await asyncio.sleep(SWEEP_S)
        await asyncio.to_thread(bring_up, edge)
        await asyncio.sleep(SWEEP_S)
    finally:
        await asyncio.to_thread(restart_with, world.billing, **{OFFSET_VARIABLE: "0"})


async def _off(service: Service, seconds: int, rng: random.Random) -> None:
    await asyncio.to_thread(restart_with, service, **{OFFSET_VARIABLE: str(seconds)})
    try:
        await asyncio.sleep(rng.uniform(0.5, 2.0))
    finally:
        await asyncio.to_thread(restart_with, service, **{OFFSET_VARIABLE: "0"})


FAULTS: Final = (
    Fault(edge_clock_ahead, "edge"),
    Fault(edge_clock_behind, "edge"),
    Fault(billing_clock_ahead, "billing"),
    Fault(billing_clock_behind, "billing"),
    Fault(grants_expire_in_use, "billing"),
    Fault(events_a_day_late, "all", overdraws=True),
)
