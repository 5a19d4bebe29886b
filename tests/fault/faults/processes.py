"""Services that die, anywhere or at a named point, that are restarted in order, or that stand still."""

import asyncio
import random
import sys
from typing import Final, get_args

from tests.fault.faults.fault import Fault, Strike, bring_up
from tests.fault.world import SOFT_TTL_S, World
from tt_edge.crash_points import CrashPoint
from tt_sandbox.stack.process import ChildProcess
from tt_sandbox.stack.service import Service
from tt_sandbox.stack.settings import PROJECT_DIR

DIES_WITHIN_S: Final = 10.0
"""Where no call comes by the point in this time, the process is killed wherever it is."""
BILLING_POINTS: Final = ("before_commit", "after_commit_before_ack", "mid_grant", "after_grant_commit_before_reply")
EDGE_POINTS: Final = tuple(point for point in get_args(CrashPoint) if point)


async def edge_killed(world: World, edge: Service, rng: random.Random) -> None:
    edge.kill()
    await asyncio.sleep(rng.uniform(0, 0.5))
    await asyncio.to_thread(bring_up, edge)


async def edge_killed_twice(world: World, edge: Service, rng: random.Random) -> None:
    """Again while it recovers."""
    edge.kill()
    edge.launch()
    await asyncio.sleep(rng.uniform(0.8, 2.0))
    await edge_killed(world, edge, rng)


async def edge_stopped(world: World, edge: Service, rng: random.Random) -> None:
    await asyncio.to_thread(edge.stop)
    await asyncio.to_thread(bring_up, edge)


async def edge_paused(world: World, edge: Service, rng: random.Random) -> None:
    await _paused(edge, rng.uniform(0.3, 3.0))


async def edge_paused_past_its_grants_expiry(world: World, edge: Service, rng: random.Random) -> None:
    await _paused(edge, SOFT_TTL_S + rng.uniform(0.5, 1.5))


async def billing_killed(world: World, edge: Service, rng: random.Random) -> None:
    world.billing.kill()
    await asyncio.sleep(rng.uniform(0, 2.0))
    await asyncio.to_thread(bring_up, world.billing)


async def billing_stopped(world: World, edge: Service, rng: random.Random) -> None:
    await asyncio.to_thread(world.billing.stop)
    await asyncio.to_thread(bring_up, world.billing)


async def billing_paused(world: World, edge: Service, rng: random.Random) -> None:
    """For longer than the broker waits for an acknowledgement, now and then."""
    await _paused(world.billing, rng.uniform(0.3, 6.5))


async def console_killed(world: World, edge: Service, rng: random.Random) -> None:
    console = world.stack.service("console")
    console.kill()
    await asyncio.sleep(rng.uniform(0, 1.0))
    await asyncio.to_thread(bring_up, console)


async def console_killed_and_usage_rebuilt(world: World, edge: Service, rng: random.Random) -> None:
    """One rebuild is killed half-way, the next runs while the consumer of the restarted console reads."""
    world.stack.service("console").kill()
    rebuild = _rebuild(world)
    rebuild.start()
    await asyncio.sleep(rng.uniform(0.8, 1.6))
    rebuild.kill()
    again = _rebuild(world)
    again.start()
    await asyncio.to_thread(bring_up, world.stack.service("console"))
    await asyncio.to_thread(again.wait, 60.0)
    again.kill()


def billing_dies_at(point: str) -> Strike:
    """A fault that makes billing die at a named point, a few passes from now."""

    async def strike(world: World, edge: Service, rng: random.Random) -> None:
        await _dies_at(world.billing, "BILLING", point, rng.randint(1, 3))

    strike.__name__ = f"billing_dies_{point}"
    return strike


def edge_dies_at(point: str) -> Strike:
    """A fault that makes an edge die at a named point; of its recovery, at the first pass."""

    async def strike(world: World, edge: Service, rng: random.Random) -> None:
        await _dies_at(edge, "EDGE", point, 1 if point.startswith("recovery") else rng.randint(1, 12))

    strike.__name__ = f"edge_dies_{point}"
    return strike


async def _dies_at(service: Service, prefix: str, point: str, passes: int) -> None:
    service.kill()
    service.env.update({f"{prefix}_CRASH_AT": point, f"{prefix}_CRASH_AFTER": str(passes)})
    try:
        service.launch()
        await asyncio.to_thread(service.process.wait, DIES_WITHIN_S)
    finally:
        service.env.update({f"{prefix}_CRASH_AT": "", f"{prefix}_CRASH_AFTER": "1"})
        service.kill()
    await asyncio.to_thread(bring_up, service)


async def _paused(service: Service, seconds: float) -> None:
    service.pause()
    try:
        await asyncio.sleep(seconds)
    finally:
        service.resume()


def _rebuild(world: World) -> ChildProcess:
    stack = world.stack
    argv = [sys.executable, "-m", "tt_console", "rebuild-usage"]
    env, log_path = stack.owner_env("console"), stack.folder.log("console-rebuild")
    return ChildProcess("console-rebuild", argv, env=env, log_path=log_path, cwd=PROJECT_DIR)


FAULTS: Final = (
    *(Fault(edge_dies_at(point), "edge") for point in EDGE_POINTS),
    *(Fault(billing_dies_at(point), "billing") for point in BILLING_POINTS),
    Fault(edge_killed, "edge"),
    Fault(edge_killed_twice, "edge"),
    Fault(edge_stopped, "edge"),
    Fault(edge_paused, "edge"),
    Fault(edge_paused_past_its_grants_expiry, "edge"),
    Fault(billing_killed, "billing"),
    Fault(billing_stopped, "billing"),
    Fault(billing_paused, "billing"),
    Fault(console_killed, "console"),
    Fault(console_killed_and_usage_rebuilt, "console"),
)
