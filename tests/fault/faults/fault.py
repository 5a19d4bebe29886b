"""What a fault is: a named function that breaks something of the running product, waits, and mends it again.

Invariant: when it returns, what it broke is back (if not caught up). Two faults of one part never overlap; faults of different
parts do.
"""

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal

from tests.fault.world import World
from tt_sandbox.stack.process import StartError
from tt_sandbox.stack.service import Service

Part = Literal["edge", "billing", "console", "nats", "postgres", "usage", "all"]
"""What a fault breaks: one edge, another process, the stream USAGE, or several of them together."""

Strike = Callable[[World, Service, random.Random], Awaitable[None]]
BACK_S: Final = 90.0


@dataclass(frozen=True)
class Fault:
    """`strike` gets the edge that it may break. `overdraws`: billing gives back what a living edge may still spend."""

    strike: Strike
    part: Part
    overdraws: bool = False

    @property
    def name(self) -> str:
        return self.strike.__name__


def bring_up(service: Service) -> None:
    """What a supervisor does: start it until it is ready, again where it gave up because another part was away."""
    deadline = time.monotonic() + BACK_S
    while True:
        try:
            service.start()
            return
        except StartError:
            if service.process.running or time.monotonic() > deadline:
                raise


def restart_with(service: Service, **variables: str) -> None:
    """Killed, and back with these variables."""
    service.kill()
    service.env.update(variables)
    bring_up(service)
