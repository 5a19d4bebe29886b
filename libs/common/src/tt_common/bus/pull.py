"""Pull requests to one durable, and the messages that come back, gathered into batches.

nats-py's own `fetch` makes a task and a timer for every message; here messages arrive by callback, the next request is under way while
a batch is handled, and a batch is whatever has come. Never acknowledges anything.
"""

# pyright: reportUnknownMemberType=false
# (nats-py leaves **kwargs untyped)

import asyncio
import logging
from collections import deque
from typing import Final

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from tt_common.clock import monotonic_s

log = logging.getLogger(__name__)

REQUEST_S: Final = 1.0
"""How long the broker keeps a request that it can't fill."""
LATE_S: Final = 0.5
GATHER_S: Final = 0.001
GATHERS_MAX: Final = 100
STATUS: Final = "Status"
# No messages, request over: the ordinary ends of a request. A full consumer (409) says so in its description.
OVER: Final = frozenset(("404", "408"))
FULL: Final = frozenset(("Exceeded MaxAckPending", "Exceeded MaxWaiting", "Message Size Exceeds MaxBytes"))


class Pull:
    """One inbox and at most one request under way: never more than two batches of messages wait here.

    While a request may bring more, a batch is handed out `every_s` after the one before at the earliest; after a pause the first message
    doesn't wait.
    """

    def __init__(self, nc: Client, stream: str, durable: str, batch_max: int, every_s: float = 0.0) -> None:
        self._nc = nc
        self._every_s = every_s
        self._handed_s = 0.0
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._batch_max = batch_max
        self._inbox = nc.new_inbox()
        self._subscription: Subscription | None = None
        self._arrived: deque[Msg] = deque()
        self._missing = 0
        self._asked_s = 0.0
        self._came = asyncio.Event()
        self._enough = asyncio.Event()
        self._refused = ""

    async def start(self) -> None:
        self._subscription = await self._nc.subscribe(self._inbox, cb=self._take)

    async def stop(self) -> None:
        """What has come and was not handed out goes back to the broker at once."""
        try:
            if self._subscription is not None:
                await self._subscription.unsubscribe()
            for message in self._arrived:
                await message.nak()
        except (nats.errors.Error, OSError) as error:
            log.info("a pull ends without its broker", extra={"error": repr(error)})
        self._arrived.clear()

    async def batch(self, stopping: asyncio.Event) -> list[Msg]:
        """What comes within a request's time, at least one and at most `batch_max`; empty where nothing did or on `stopping`.

        Raises nats.errors.Error where the broker refuses.
        """
        await self._ask()
        if not self._arrived:
            await self._wait(stopping)
        await self._gather(stopping)
        self._handed_s = monotonic_s()
        arrived = self._arrived
        messages = [arrived.popleft() for _ in range(min(len(arrived), self._batch_max))]
        await self._ask()
        if self._refused and not messages:
            raise nats.errors.Error(f"pull refused: {self._refused}")
        return messages

    async def _ask(self) -> None:
        late = monotonic_s() > self._asked_s + REQUEST_S + LATE_S
        if len(self._arrived) >= self._batch_max or (self._missing and not late):
            return
        self._missing = self._batch_max
        self._asked_s = monotonic_s()
        request = msgspec.json.encode({"batch": self._batch_max, "expires": int(REQUEST_S * 1e9)})
        await self._nc.publish(self._next, request, reply=self._inbox)

    async def _wait(self, stopping: asyncio.Event) -> None:
        self._came.clear()
        await _first_of(self._came, stopping, REQUEST_S + LATE_S)

    async def _gather(self, stopping: asyncio.Event) -> None:
        """Wait for the time of the next batch, and while more keeps coming, so that a backlog is read in whole batches."""
        early_s = self._handed_s + self._every_s - monotonic_s()
        if early_s > 0 and self._missing and 0 < len(self._arrived) < self._batch_max:
            self._enough.clear()
            await _first_of(self._enough, stopping, early_s)
        for _ in range(GATHERS_MAX):
            seen = len(self._arrived)
            if not seen or seen >= self._batch_max or not self._missing:
                return
            await asyncio.sleep(GATHER_S)
            if len(self._arrived) == seen:
                return

    async def _take(self, message: Msg) -> None:
        if message.headers is not None and not message.data and STATUS in message.headers:
            self._end_request(message.headers[STATUS], message.headers.get("Description", ""))
        else:
            self._missing = max(0, self._missing - 1)
            self._arrived.append(message)
        if not self._missing or len(self._arrived) >= self._batch_max:
            self._enough.set()
        self._came.set()

    def _end_request(self, status: str, description: str) -> None:
        if status == "100":
            return
        self._missing = 0
        if status not in OVER and description not in FULL:
            self._refused = f"{status} {description}"


async def _first_of(event: asyncio.Event, stopping: asyncio.Event, timeout_s: float) -> None:
    waits = [asyncio.create_task(each.wait()) for each in (event, stopping)]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
