"""The stream USAGE: away, full, refusing now and then; its events twice and in another order."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.api import ConsumerConfig, DeliverPolicy

from tests.fault.faults.fault import Fault
from tests.fault.world import World
from tt_common.bus.connection import connect
from tt_common.contracts.streams import USAGE
from tt_common.deploy import stream_config
from tt_common.ids import new_event_id
from tt_sandbox.stack.service import Service

AWAY_SUBJECT: Final = "usage-away.v1.*"
READERS: Final = ("billing", "console-usage")
SHARE: Final = 0.3
READ_MAX: Final = 500
READ_WAIT_S: Final = 0.3
RETRY_S: Final = 0.1
TRIES: Final = 300
NEW_ONLY: Final = ConsumerConfig(deliver_policy=DeliverPolicy.NEW, inactive_threshold=30)
TROUBLE: Final = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)
"""What a request may meet while NATS is down for another fault's sake."""


async def usage_away(world: World, edge: Service, rng: random.Random) -> None:
    await usage_away_for(world, rng.uniform(1.0, 5.0))


async def usage_away_for(world: World, seconds: float) -> None:
    """No stream answers those who publish, and nobody who reads gets anything."""
    async with _connected(world) as nc:
        try:
            await _pause_readers(nc, datetime.now(UTC) + timedelta(hours=1))
            await _change_usage(nc, subjects=[AWAY_SUBJECT])
            await asyncio.sleep(seconds)
        finally:
            await _change_usage(nc)
            await _pause_readers(nc, datetime.fromtimestamp(1, UTC))


async def usage_full(world: World, edge: Service, rng: random.Random) -> None:
    """Every event is refused; what is in the stream can be read."""
    async with _connected(world) as nc:
        try:
            await _change_usage(nc, max_bytes=1)
            await asyncio.sleep(rng.uniform(0.5, 4.0))
        finally:
            await _change_usage(nc)


async def usage_reordered(world: World, edge: Service, rng: random.Random) -> None:
    """The stream refuses for moments, so that what was refused arrives after what was made later."""
    async with _connected(world) as nc:
        try:
            for _ in range(20):
                await _change_usage(nc, max_bytes=1)
                await asyncio.sleep(rng.uniform(0.005, 0.05))
                await _change_usage(nc)
                await asyncio.sleep(rng.uniform(0.005, 0.15))
        finally:
            await _change_usage(nc)


async def usage_repeated(world: World, edge: Service, rng: random.Random) -> None:
    await publish_again(world, rng, for_s=rng.uniform(1.0, 2.5))


async def publish_again(world: World, rng: random.Random, for_s: float) -> int:
    """Repeats a share of USAGE's new messages for `for_s`, shuffled, under new message ids; how many it were."""
    async with _connected(world) as nc:
        js = nc.jetstream(timeout=5)
        reader = await js.pull_subscribe(USAGE.subjects[0], stream=USAGE.name, config=NEW_ONLY)
        loop = asyncio.get_running_loop()
        ends_at, repeated = loop.time() + for_s, 0
        while loop.time() < ends_at:
            try:
                messages = await reader.fetch(READ_MAX, timeout=READ_WAIT_S)
                chosen = [message for message in messages if rng.random() < SHARE]
                rng.shuffle(chosen)
                for message in chosen:
                    # An earlier event's message id would be dropped by the broker and prove nothing.
                    headers = {**(message.headers or {}), "Nats-Msg-Id": new_event_id()}
                    await js.publish(message.subject, message.data, headers=headers)
                    repeated += 1
                for message in messages:
                    await message.ack()
            except TROUBLE:
                await asyncio.sleep(RETRY_S)
        return repeated


@asynccontextmanager
async def _connected(world: World) -> AsyncIterator[Client]:
    nc = await connect(world.stack.nats.url, "tests-faults")
    try:
        yield nc
    finally:
        await nc.close()


async def _change_usage(nc: Client, **changes: Any) -> None:
    """The stream as it is declared, but for `changes`."""
    config = stream_config(USAGE, replicas=1).evolve(**changes)
    await _insist(nc, f"STREAM.UPDATE.{USAGE.name}", config.as_dict())


async def _pause_readers(nc: Client, until: datetime) -> None:
    """Nothing is delivered to the house's readers until then; in the past: at once."""
    for durable in READERS:
        await _insist(nc, f"CONSUMER.PAUSE.{USAGE.name}.{durable}", {"pause_until": until.isoformat()})


async def _insist(nc: Client, subject: str, body: dict[str, Any]) -> None:
    """One request of the JetStream API, again while NATS is away."""
    answer: dict[str, Any] = {}
    for _ in range(TRIES):
        try:
            reply = await nc.request(f"$JS.API.{subject}", json.dumps(body).encode(), timeout=2.0)
            answer = json.loads(reply.data)
            if "error" not in answer:
                return
        except TROUBLE as error:
            answer = {"error": repr(error)}
        await asyncio.sleep(RETRY_S)
    raise AssertionError(f"{subject}: {answer['error']}")


FAULTS: Final = (
    Fault(usage_away, "usage"),
    Fault(usage_full, "usage"),
    Fault(usage_reordered, "usage"),
    Fault(usage_repeated, "usage"),
)
