"""An edge dies at a named point, or anywhere under load, or again while it recovers: no call is lost, none is charged twice."""

import asyncio
import random
from typing import Final

from tests.fault.driver import Record, load
from tests.fault.oracle import assert_consistent
from tests.fault.world import World
from tt_edge.crash_points import EXIT_STATUS
from tt_sandbox.stack.service import Service

DIES_WITHIN_S: Final = 30.0
POINTS: Final = ("after_started", "before_settled", "after_settled", "mid_stream")


async def test_edges_that_die_at_every_named_point_lose_no_call_and_charge_none_twice(
    world: World, record: Record, seed: int, rng: random.Random
) -> None:
    # given four edges under load, each of which will die at another point, after a random number of passes
    keys = [world.key("20") for _ in range(3)]
    points = rng.sample(POINTS, len(POINTS))
    for edge, point in zip(world.edges, points, strict=True):
        edge.kill()
        _arm(edge, point, rng.randint(1, 20))
        edge.launch()
    await _ready(world.edges)
    # when all four have died there
    async with load(record, keys, rng):
        await asyncio.gather(*(_dies(edge) for edge in world.edges))
    # and the first two die again in the middle of their recovery
    for edge, point in zip(world.edges, ("recovery_written", "recovery_published"), strict=False):
        _arm(edge, point, 1)
        edge.launch()
    await asyncio.gather(*(_dies(edge) for edge in world.edges[:2]))
    # then, once they are back, every call is accounted for
    for edge in world.edges:
        _disarm(edge)
        edge.launch()
    await _ready(world.edges)
    events = assert_consistent(record, commands=True)
    assert {"succeeded", "unresolved"} <= {event.outcome for event in events.values()}


async def test_an_edge_killed_anywhere_under_load_loses_no_call_and_charges_none_twice(
    world: World, record: Record, seed: int, rng: random.Random
) -> None:
    # given load on four edges
    keys = [world.key("20") for _ in range(2)]
    async with load(record, keys, rng):
        # when two of them are killed at a random moment and come back
        await asyncio.sleep(rng.uniform(0.3, 1.5))
        victims = rng.sample(world.edges, 2)
        for victim in victims:
            victim.kill()
        await asyncio.sleep(rng.uniform(0.1, 0.5))
        for victim in victims:
            victim.launch()
        await _ready(victims)
        await asyncio.sleep(0.5)
    # then every call is accounted for
    assert_consistent(record)


def _arm(edge: Service, point: str, after: int) -> None:
    edge.env.update(EDGE_CRASH_AT=point, EDGE_CRASH_AFTER=str(after))


def _disarm(edge: Service) -> None:
    edge.env.update(EDGE_CRASH_AT="", EDGE_CRASH_AFTER="1")


async def _dies(edge: Service) -> None:
    assert await asyncio.to_thread(edge.process.wait, DIES_WITHIN_S) == EXIT_STATUS, f"{edge.name} did not die"


async def _ready(edges: list[Service]) -> None:
    await asyncio.gather(*(asyncio.to_thread(edge.wait_ready) for edge in edges))
