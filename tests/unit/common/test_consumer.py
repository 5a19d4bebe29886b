"""A durable pull consumer on a real NATS: redelivery, restored databases, broker restarts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import StreamConfig
from nats.js.client import JetStreamContext

from tests.unit.common.waiting import until
from tt_common.bus.consumer import PullConsumer, StreamPosition, stream_sequence
from tt_sandbox.stack.nats_server import EmbeddedNats

STREAM = "EVENTS"
SUBJECT = "events.v1"
OTHERS = "others.v1"
Handler = Callable[[list[Msg]], Awaitable[None]]
Run = Callable[[PullConsumer], None]


@pytest.fixture
async def js(nc: Client) -> JetStreamContext:
    context = nc.jetstream(timeout=5)
    await context.add_stream(StreamConfig(name=STREAM, subjects=[SUBJECT]))
    return context


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    """Runs consumers until the end of the test; a dead one fails it."""
    running: list[tuple[PullConsumer, asyncio.Task[None]]] = []

    def start(consumer: PullConsumer) -> None:
        running.append((consumer, asyncio.create_task(consumer.run())))

    yield start
    for consumer, task in running:
        consumer.stop()
        await asyncio.wait_for(task, 5)


def consumer(nc: Client, handler: Handler, stored: StreamPosition | None = None, **options: Any) -> PullConsumer:
    """`stored` is what the database remembers."""

    async def position() -> StreamPosition | None:
        return stored

    return PullConsumer(nc, STREAM, "durable", SUBJECT, handler, position, **options)


class Sink:
    """Takes the bodies of messages and acknowledges them."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    async def take(self, messages: list[Msg]) -> None:
        for message in messages:
            self.seen.append(message.data)
            await message.ack()


async def publish(js: JetStreamContext, *bodies: bytes) -> None:
    for body in bodies:
        await js.publish(SUBJECT, body)


async def test_messages_come_in_order_and_are_settled(nc: Client, js: JetStreamContext, run: Run) -> None:
    sink = Sink()
    reading = consumer(nc, sink.take)
    await publish(js, b"1", b"2", b"3")
    await reading.prepare()
    run(reading)
    await until(lambda: sink.seen == [b"1", b"2", b"3"])
    await asyncio.sleep(0.05)
    assert await reading.lag() == 0
    assert reading.healthy


async def test_messages_that_trickle_in_gather_and_one_after_a_pause_or_a_backlog_does_not_wait(
    nc: Client, js: JetStreamContext, run: Run
) -> None:
    # given requests for three messages at a time, and batches that begin far apart
    batches: list[list[bytes]] = []
    times: list[float] = []

    async def handler(messages: list[Msg]) -> None:
        batches.append([message.data for message in messages])
        times.append(asyncio.get_running_loop().time())
        for message in messages:
            await message.ack()

    reading = consumer(nc, handler, batch_max=3, batch_every_s=0.5)
    await reading.prepare()
    run(reading)

    # when one comes, then what fills the request, then two that don't, one after the other
    await publish(js, b"1")
    await until(lambda: len(batches) == 1)
    await publish(js, b"2", b"3")
    await until(lambda: len(batches) == 2)
    await publish(js, b"4", b"5")
    await until(lambda: len(batches) == 3)

    # then only the last ones waited
    assert batches == [[b"1"], [b"2", b"3"], [b"4", b"5"]]
    assert times[1] - times[0] < 0.4 < times[2] - times[1]


async def test_a_batch_whose_handler_failed_comes_again(nc: Client, js: JetStreamContext, run: Run) -> None:
    # given a handler that fails once, after having settled the first message of two
    sink = Sink()
    failed: list[bytes] = []

    async def handler(messages: list[Msg]) -> None:
        if not failed:
            await messages[0].ack()
            failed.extend(message.data for message in messages)
            raise RuntimeError("database away")
        await sink.take(messages)

    reading = consumer(nc, handler)
    await publish(js, b"1", b"2")
    await reading.prepare()

    # when
    run(reading)

    # then what was not settled is delivered again, what was is not
    await until(lambda: len(sink.seen) > 0)
    assert failed == [b"1", b"2"]
    assert sink.seen == [b"2"]


async def test_a_restored_database_reads_again_what_it_lost(nc: Client, js: JetStreamContext, run: Run) -> None:
    # given a durable that has settled five messages
    sink = Sink()
    first = consumer(nc, sink.take)
    await publish(js, *(b"%d" % number for number in range(1, 6)))
    await first.prepare()
    task = asyncio.create_task(first.run())
    await until(lambda: len(sink.seen) == 5)
    await asyncio.sleep(0.05)
    first.stop()
    await task

    # when the service starts with a position that knows only two of them (and no margin for parallel consumers)
    again = Sink()
    second = consumer(nc, again.take, StreamPosition(first.created, 2), max_ack_pending=1, batch_max=1)
    assert await second.prepare()
    run(second)

    # then
    await until(lambda: len(again.seen) >= 4)
    assert again.seen == [b"2", b"3", b"4", b"5"]


async def test_a_position_up_to_date_is_left_alone(nc: Client, js: JetStreamContext, run: Run) -> None:
    # given a durable whose database remembers all
    sink = Sink()
    first = consumer(nc, sink.take)
    await publish(js, b"1", b"2")
    await first.prepare()
    task = asyncio.create_task(first.run())
    await until(lambda: len(sink.seen) == 2)
    await asyncio.sleep(0.05)
    first.stop()
    await task

    # when it starts again and a new message comes
    again = Sink()
    second = consumer(nc, again.take, StreamPosition(first.created, 2), max_ack_pending=1, batch_max=1)
    assert not await second.prepare()
    run(second)
    await publish(js, b"3")

    # then nothing old comes again
    await until(lambda: len(again.seen) > 0)
    assert again.seen == [b"3"]


async def test_a_durable_that_passed_over_messages_of_others_is_not_ahead(
    nc: Client, js: JetStreamContext, run: Run, broker: EmbeddedNats
) -> None:
    # given a stream with messages of others around the only one that is for the durable, all there while it was handled
    await js.update_stream(StreamConfig(name=STREAM, subjects=[SUBJECT, OTHERS]))
    for subject in (OTHERS, SUBJECT, OTHERS, OTHERS):
        await js.publish(subject, b"")
    sink = Sink()
    first = consumer(nc, sink.take)
    await first.prepare()
    run(first)
    await until(lambda: sink.seen == [b""])
    await asyncio.to_thread(broker.restart)
    await until(lambda: nc.is_connected and first.healthy, 10)

    # when services start, one with the position of that message, one whose database has lost it
    remembers = consumer(nc, sink.take, StreamPosition(first.created, 2))
    forgot = consumer(nc, sink.take, StreamPosition(first.created, 1))

    # then
    assert not await remembers.prepare()
    assert await forgot.prepare()


async def test_a_position_in_another_incarnation_of_the_stream_means_nothing(
    nc: Client, js: JetStreamContext, run: Run
) -> None:
    # given a stream that was made anew since the position was stored
    await publish(js, b"new")
    sink = Sink()
    stored = StreamPosition("2020-01-01T00:00:00+00:00", 4711)
    reading = consumer(nc, sink.take, stored, max_ack_pending=1, batch_max=1)

    # when
    await reading.prepare()
    run(reading)

    # then it is read from its beginning
    await until(lambda: sink.seen == [b"new"])


async def test_it_goes_on_after_the_broker_was_killed(
    nc: Client, js: JetStreamContext, run: Run, broker: EmbeddedNats
) -> None:
    # given
    sink = Sink()
    reading = consumer(nc, sink.take)
    await reading.prepare()
    run(reading)
    await publish(js, b"before")
    await until(lambda: sink.seen == [b"before"])

    # when
    broker.kill()
    await asyncio.to_thread(broker.start)
    await until(lambda: nc.is_connected, 10)
    await publish(js, b"after")

    # then
    await until(lambda: b"after" in sink.seen, 15)


async def test_two_batches_may_be_in_flight_and_no_more(nc: Client, js: JetStreamContext, run: Run) -> None:
    # given a handler that holds its batches until told
    release = asyncio.Event()
    begun: list[bytes] = []

    async def handler(messages: list[Msg]) -> None:
        begun.extend(message.data for message in messages)
        await release.wait()
        for message in messages:
            await message.ack()

    reading = consumer(nc, handler, batch_max=2, in_flight=2)
    await publish(js, *(b"%d" % number for number in range(6)))
    await reading.prepare()

    # when
    run(reading)

    # then
    await until(lambda: len(begun) == 4)
    await asyncio.sleep(0.1)
    assert begun == [b"0", b"1", b"2", b"3"]
    release.set()
    await until(lambda: len(begun) == 6)


async def test_what_waits_when_it_stops_goes_back_to_the_broker_at_once(
    nc: Client, js: JetStreamContext, run: Run
) -> None:
    # given a consumer that has one message in hand and the next ones waiting
    release = asyncio.Event()
    sink = Sink()

    async def handler(messages: list[Msg]) -> None:
        await release.wait()
        await sink.take(messages)

    first = consumer(nc, handler, batch_max=1)
    await publish(js, b"1", b"2", b"3")
    await first.prepare()
    task = asyncio.create_task(first.run())
    await asyncio.sleep(0.2)

    # when it stops and another takes over, long before the ack wait is over
    first.stop()
    release.set()
    await asyncio.wait_for(task, 5)
    again = Sink()
    run(consumer(nc, again.take))

    # then
    assert sink.seen == [b"1"]
    await until(lambda: sorted(again.seen) == [b"2", b"3"])


async def test_a_backlog_comes_in_whole_batches(nc: Client, js: JetStreamContext, run: Run) -> None:
    sizes: list[int] = []

    async def handler(messages: list[Msg]) -> None:
        sizes.append(len(messages))
        for message in messages:
            await message.ack()

    reading = consumer(nc, handler, batch_max=100)
    await publish(js, *(b"x" * 500 for _ in range(400)))
    await reading.prepare()
    run(reading)
    await until(lambda: sum(sizes) == 400)
    assert len(sizes) <= 8


async def test_a_durable_that_was_deleted_is_made_anew_after_the_stored_position(
    nc: Client, js: JetStreamContext, run: Run
) -> None:
    # given a consumer whose database remembers the first message
    sink = Sink()
    await publish(js, b"1")
    info = await js.stream_info(STREAM)
    assert info.created is not None
    stored = StreamPosition(info.created.astimezone(UTC).isoformat(), 1)
    reading = consumer(nc, sink.take, stored, max_ack_pending=0)
    await reading.prepare()
    run(reading)
    await until(lambda: reading.healthy)

    # when the durable is deleted under it
    await js.delete_consumer(STREAM, "durable")

    # then it reads on, and nothing old
    await publish(js, b"2")
    await until(lambda: len(sink.seen) > 0, 10)
    assert sink.seen == [b"2"]


async def test_a_stream_that_was_lost_and_made_anew_is_read_from_its_beginning_under_its_own_name(
    nc: Client, js: JetStreamContext, run: Run
) -> None:
    # given a consumer of a stream
    sink = Sink()
    reading = consumer(nc, sink.take)
    await publish(js, b"1", b"2")
    await reading.prepare()
    run(reading)
    await until(lambda: sink.seen == [b"1", b"2"])
    before = reading.created

    # when the stream is lost with its durables, and made again
    await js.delete_stream(STREAM)
    await js.add_stream(StreamConfig(name=STREAM, subjects=[SUBJECT]))
    await publish(js, b"3")

    # then
    await until(lambda: sink.seen == [b"1", b"2", b"3"], 10)
    assert reading.created > before


async def test_a_position_that_can_not_be_read_is_waited_for(nc: Client, js: JetStreamContext, run: Run) -> None:
    # given a database that is away when the durable is found missing
    sink = Sink()
    asked: list[bool] = []

    async def position() -> StreamPosition | None:
        asked.append(True)
        if len(asked) < 3:
            raise RuntimeError("the database is away")
        return None

    reading = PullConsumer(nc, STREAM, "durable", SUBJECT, sink.take, position)
    await publish(js, b"1")

    # when
    run(reading)

    # then
    await until(lambda: sink.seen == [b"1"])
    assert len(asked) == 3


async def test_the_sequence_of_a_message_is_what_its_metadata_says(nc: Client, js: JetStreamContext, run: Run) -> None:
    seen: list[tuple[int, int]] = []

    async def handler(messages: list[Msg]) -> None:
        for message in messages:
            seen.append((stream_sequence(message), message.metadata.sequence.stream))
            await message.ack()

    await publish(js, b"1", b"2")
    reading = consumer(nc, handler)
    await reading.prepare()
    run(reading)
    await until(lambda: len(seen) == 2)
    assert seen == [(1, 1), (2, 2)]
