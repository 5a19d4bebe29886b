"""Settled events reach billing whatever the broker does, and leave the journal only then."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.integration.edge_journal.fake_billing import FakeBilling
from tests.unit.edge.journal.samples import call, settle
from tt_common.bus.lean_client import LeanClient
from tt_edge.clients import usage_publisher
from tt_edge.clients.usage_publisher import UsagePublisher
from tt_edge.journal.folders import claim
from tt_edge.journal.journal import Journal
from tt_sandbox.stack.nats_server import EmbeddedNats


@pytest.fixture
async def billing(nc: LeanClient) -> AsyncIterator[FakeBilling]:
    fake = FakeBilling(nc)
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(claim(tmp_path))


@pytest.fixture
async def publisher(nc: LeanClient, journal: Journal) -> AsyncIterator[UsagePublisher]:
    publisher = UsagePublisher(nc, journal, republish_after_s=2.0)
    task = asyncio.create_task(publisher.run())
    yield publisher
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.to_thread(journal.close)


def _make(journal: Journal, publisher: UsagePublisher, name: str) -> None:
    journal.started(call(name))
    publisher.publish(settle(journal, name))


async def _until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - waits for another process
            await asyncio.sleep(0.02)


async def test_every_event_arrives_and_is_covered(
    billing: FakeBilling, journal: Journal, publisher: UsagePublisher
) -> None:
    names = {f"call{number}" for number in range(1000)}
    for name in names:
        _make(journal, publisher, name)
    assert await publisher.flush(20.0)
    assert set(billing.events) == names
    assert billing.deliveries == 1000
    assert (journal.depth, journal.unsettled_nanousd) == (0, 0)


async def test_events_carry_cloud_event_headers(nc: LeanClient, journal: Journal, publisher: UsagePublisher) -> None:
    _make(journal, publisher, "call1")
    await _until(lambda: publisher.pending == 0)
    message = await nc.jetstream().get_msg("USAGE", seq=1)
    assert message.subject == "usage.v1.acc_1"
    assert message.headers is not None
    assert (message.headers["ce-id"], message.headers["Nats-Msg-Id"]) == ("call1", "call1")
    assert message.headers["ce-type"] == "usage.v1"


async def test_nothing_is_lost_when_the_broker_is_killed_and_restarted(
    broker: EmbeddedNats, billing: FakeBilling, journal: Journal, publisher: UsagePublisher
) -> None:
    # given events that are made all the time
    names: set[str] = set()

    async def produce() -> None:
        for number in range(600):
            names.add(f"call{number}")
            _make(journal, publisher, f"call{number}")
            await asyncio.sleep(0.005)

    producing = asyncio.create_task(produce())
    # when the broker dies twice meanwhile
    for _ in range(2):
        await asyncio.sleep(0.5)
        await asyncio.to_thread(broker.kill)
        await asyncio.sleep(0.4)
        await asyncio.to_thread(broker.start)
    await producing
    # then billing has every one of them in the end
    assert await publisher.flush(30.0)
    assert set(billing.events) == names


async def test_an_event_that_the_broker_lost_is_published_again(
    billing: FakeBilling, journal: Journal, publisher: UsagePublisher, nc: LeanClient
) -> None:
    # given an event that the broker acknowledged and billing never saw (and a dedupe window that has passed)
    config = (await nc.jetstream().stream_info("USAGE")).config
    await nc.jetstream().update_stream(config.evolve(duplicate_window=0.5))
    billing.lose = 1
    _make(journal, publisher, "call1")
    await _until(lambda: billing.deliveries == 1)
    assert billing.events == {}
    # then it comes again by itself
    await _until(lambda: "call1" in billing.events)
    await _until(lambda: journal.depth == 0)


async def test_a_full_stream_refuses_and_later_takes_them(
    billing: FakeBilling, journal: Journal, publisher: UsagePublisher, nc: LeanClient
) -> None:
    # given a stream with room for one message
    js = nc.jetstream()
    config = (await js.stream_info("USAGE")).config
    await js.update_stream(config.evolve(max_msgs=1))
    for number in range(20):
        _make(journal, publisher, f"call{number}")
    await asyncio.sleep(0.5)
    assert publisher.pending == 19
    # when there is room again
    await js.update_stream(config)
    # then they all arrive
    assert await publisher.flush(20.0)
    assert len(billing.events) == 20


async def test_no_more_than_the_limit_is_in_flight(
    broker: EmbeddedNats, journal: Journal, publisher: UsagePublisher
) -> None:
    await asyncio.to_thread(broker.pause)
    try:
        for number in range(2 * usage_publisher.IN_FLIGHT_MAX):
            _make(journal, publisher, f"call{number}")
        await asyncio.sleep(0.3)
        assert len(publisher._in_flight) == usage_publisher.IN_FLIGHT_MAX
    finally:
        await asyncio.to_thread(broker.resume)
    await _until(lambda: publisher.pending == 0)
