"""What breaks between a block and a credit: either service at each named point, anywhere, the engines, and what nodes tell.

A blow may leave its service dead: whoever strikes brings it up after the last one of that part.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import httpx

from tests.fault.deposits.world import DepositWorld
from tt_deposits.settings import CrashPoint as DepositsPoint
from tt_sandbox.stack.service import Service

Part = Literal["deposits", "billing", "nats", "postgres"]
STARTS_WITHIN_S: Final = 60.0
DIES_WITHIN_S: Final = 10.0
"""Where a service that is ready does not pass the point in this time, it is killed wherever it is."""
POLL_S: Final = 0.1
DEPOSITS_POINTS: Final = tuple(point for point in get_args(DepositsPoint) if point)
BILLING_POINTS: Final = ("before_deposit_commit", "after_deposit_commit_before_ack")
NODES: Final = ("a", "b", "*")
# What a broken node tells, not what a lying one does: lies about solid blocks halt the scanner, and have tests of their own.
NODE_FAULTS: Final = (
    "absent",
    "transactions_missing",
    "infos_empty",
    "infos_missing",
    "infos_other_block",
    "error",
    "lite",
    "status",
    "slow",
    "cut",
    "not_json",
    "head_stale",
    "head_back",
    "solid_stops",
)


@dataclass(frozen=True)
class Blow:
    """Breaks one part, waits, and mends an engine again."""

    name: str
    part: Part
    strike: Callable[[DepositWorld, random.Random], None]


@dataclass(frozen=True)
class NodeFault:
    """From `at_s` on a node tells nonsense, for a time."""

    at_s: float
    node: str
    kind: str
    seconds: float

    def set(self, world: DepositWorld) -> None:
        words: dict[str, Any] = {"delay_s": 1.5} if self.kind == "slow" else {}
        world.chain.fault(self.kind, self.node, seconds=self.seconds, **words)


def _killed(part: Literal["deposits", "billing"]) -> Blow:
    def strike(world: DepositWorld, rng: random.Random) -> None:
        world.service(part).kill()
        time.sleep(rng.uniform(0, 1.0))

    return Blow(f"{part}_killed", part, strike)


def _dies_at(part: Literal["deposits", "billing"], point: str) -> Blow:
    def strike(world: DepositWorld, rng: random.Random) -> None:
        service, prefix = world.service(part), part.upper()
        service.kill()
        service.env.update({f"{prefix}_CRASH_AT": point, f"{prefix}_CRASH_AFTER": str(rng.randint(1, 3))})
        try:
            service.launch()
            _wait_dead(service)
        finally:
            service.env.update({f"{prefix}_CRASH_AT": "", f"{prefix}_CRASH_AFTER": "1"})
            service.kill()

    return Blow(f"{part}_dies_{point}", part, strike)


def _wait_dead(service: Service) -> None:
    """It may die before it is ready, or not at all."""
    began_s, ready_s = time.monotonic(), None
    while service.process.running:
        now_s = time.monotonic()
        if now_s - began_s > STARTS_WITHIN_S or (ready_s is not None and now_s - ready_s > DIES_WITHIN_S):
            return
        if ready_s is None and _is_ready(service):
            ready_s = now_s
        time.sleep(POLL_S)


def _is_ready(service: Service) -> bool:
    try:
        return httpx.get(f"{service.url}/readyz", timeout=2.0, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _nats_killed(world: DepositWorld, rng: random.Random) -> None:
    world.stack.nats.kill()
    time.sleep(rng.uniform(0, 1.0))
    world.stack.nats.start()


def _postgres_killed(world: DepositWorld, rng: random.Random) -> None:
    world.stack.postgres.kill()
    time.sleep(rng.uniform(0, 1.0))
    world.stack.postgres.start()


def _deposits_paused(world: DepositWorld, rng: random.Random) -> None:
    world.service("deposits").pause()
    time.sleep(rng.uniform(0.2, 2.0))
    world.service("deposits").resume()


BLOWS: Final = {
    blow.name: blow
    for blow in (
        *(_dies_at("deposits", point) for point in DEPOSITS_POINTS),
        *(_dies_at("billing", point) for point in BILLING_POINTS),
        _killed("deposits"),
        _killed("billing"),
        Blow("deposits_paused", "deposits", _deposits_paused),
        Blow("nats_killed", "nats", _nats_killed),
        Blow("postgres_killed", "postgres", _postgres_killed),
    )
}
