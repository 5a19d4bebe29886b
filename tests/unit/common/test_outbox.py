"""The outbox on a real PostgreSQL and a real NATS: in order, nothing lost, nothing published that was rolled back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, StreamConfig
from nats.js.client import JetStreamContext
from sqlalchemy import MetaData, Table, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.unit.common.waiting import until
from tt_common.contracts.streams import BucketSpec
from tt_common.db.engine import make_engine
from tt_common.db.outbox import BATCH_MAX, OutboxMessage, OutboxRelay, enqueue, outbox_table
from tt_common.deploy import bucket_config
from tt_sandbox.stack.nats_server import EmbeddedNats
from tt_sandbox.stack.postgres import EmbeddedPostgres

STREAM = "OUT"


@pytest.fixture(scope="module")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"))
    server.start()
    server.create_role("owner", "a-password")
    server.create_database("outbox_test", "owner")
    yield server.url("outbox_test", "owner", "a-password")
    server.stop()


@pytest.fixture
def table() -> Table:
    return outbox_table(MetaData())


@pytest.fixture
async def engine(database_url: str, table: Table) -> AsyncIterator[AsyncEngine]:
    made = make_engine(database_url, "tests", pool_size=4)
    async with made.begin() as connection:
        await connection.run_sync(table.metadata.drop_all)
        await connection.run_sync(table.metadata.create_all)
    yield made
    await made.dispose()


@pytest.fixture
async def js(nc: Client) -> JetStreamContext:
    context = nc.jetstream(timeout=5)
    await context.add_stream(StreamConfig(name=STREAM, subjects=["out.>"]))
    return context


@pytest.fixture
async def relay(engine: AsyncEngine, nc: Client, table: Table) -> AsyncIterator[OutboxRelay]:
    made = OutboxRelay(engine, nc, table)
    stopping = asyncio.Event()
    task = asyncio.create_task(made.run(stopping))
    yield made
    stopping.set()
    await asyncio.wait_for(task, 10)


def message(number: int) -> OutboxMessage:
    return OutboxMessage("out.v1", b"%d" % number, {"Nats-Msg-Id": f"id-{number}"})


async def add(engine: AsyncEngine, table: Table, *numbers: int) -> None:
    async with engine.begin() as connection:
        await enqueue(connection, table, [message(number) for number in numbers])


async def rows_left(engine: AsyncEngine, table: Table) -> int:
    async with engine.connect() as connection:
        return (await connection.execute(select(func.count()).select_from(table))).scalar_one()


async def published(js: JetStreamContext) -> list[int]:
    last = (await js.stream_info(STREAM)).state.last_seq
    found = [await js.get_msg(STREAM, seq=sequence) for sequence in range(1, last + 1)]
    return [int(item.data or b"") for item in found]


async def emptied(engine: AsyncEngine, table: Table, but: int = 0) -> None:
    """A row goes only after its message, so what is published may be there for a moment."""
    async with asyncio.timeout(15):
        while await rows_left(engine, table) != but:  # noqa: ASYNC110  (the database tells nobody)
            await asyncio.sleep(0.02)


async def test_messages_go_out_in_order_and_rows_go(
    engine: AsyncEngine, table: Table, relay: OutboxRelay, js: JetStreamContext
) -> None:
    # given more than one batch, from several transactions
    for start in range(0, 450, 150):
        await add(engine, table, *range(start, start + 150))
    relay.poke()
    await emptied(engine, table)
    assert await published(js) == list(range(450))


async def test_a_stream_that_refuses_holds_up_no_other_and_gets_its_messages_in_order_later(
    engine: AsyncEngine,
    table: Table,
    relay: OutboxRelay,
    js: JetStreamContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given a stream that is full, with more for it than a batch has
    monkeypatch.setattr("tt_common.db.outbox.REFUSED_PAUSE_S", 0.2)
    full = StreamConfig(name="FULL", subjects=["full.>"], max_bytes=1, discard=DiscardPolicy.NEW)
    await js.add_stream(full)
    async with engine.begin() as connection:
        await enqueue(connection, table, [OutboxMessage("full.v1", b"%d" % i, {}) for i in range(BATCH_MAX + 50)])

    # when there is something for another
    await add(engine, table, 1, 2)
    async with asyncio.timeout(10):
        while await published(js) != [1, 2]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    # then nothing is lost, and nothing is out of order once there is room
    await emptied(engine, table, but=BATCH_MAX + 50)
    await js.update_stream(full.evolve(max_bytes=-1))
    await emptied(engine, table)
    taken = [await js.get_msg("FULL", seq=sequence) for sequence in range(1, BATCH_MAX + 51)]
    assert [int(item.data or b"") for item in taken] == list(range(BATCH_MAX + 50))


async def test_what_is_rolled_back_is_not_published(
    engine: AsyncEngine, table: Table, relay: OutboxRelay, js: JetStreamContext
) -> None:
    # given a transaction that fails after it wrote to the outbox
    with pytest.raises(RuntimeError, match="rolled back"):
        async with engine.begin() as connection:
            await enqueue(connection, table, [message(1)])
            raise RuntimeError("rolled back")
    await add(engine, table, 2)
    await emptied(engine, table)
    assert await published(js) == [2]


async def test_two_relays_publish_each_message_once_and_in_order(
    engine: AsyncEngine, table: Table, relay: OutboxRelay, nc: Client, js: JetStreamContext
) -> None:
    # given a second relay that waits to lead
    stopping = asyncio.Event()
    second = asyncio.create_task(OutboxRelay(engine, nc, table).run(stopping))

    # when (without message ids, so that the broker drops no duplicate)
    async with engine.begin() as connection:
        await enqueue(connection, table, [OutboxMessage("out.v1", b"%d" % number, {}) for number in range(300)])
    await emptied(engine, table)
    stopping.set()
    await asyncio.wait_for(second, 10)

    # then
    assert await published(js) == list(range(300))


async def test_nothing_is_lost_or_reordered_over_a_broker_restart(
    engine: AsyncEngine, table: Table, relay: OutboxRelay, nc: Client, js: JetStreamContext, broker: EmbeddedNats
) -> None:
    # given a relay at work
    await add(engine, table, *range(50))
    await emptied(engine, table)

    # when the broker is killed and messages come all the time
    broker.kill()
    await add(engine, table, *range(50, 100))
    await asyncio.to_thread(broker.start)
    await add(engine, table, *range(100, 150))
    await until(lambda: nc.is_connected, 10)

    # then
    await emptied(engine, table)
    assert await published(js) == list(range(150))


async def test_an_older_record_is_never_put_over_a_newer_one(
    engine: AsyncEngine, table: Table, relay: OutboxRelay, nc: Client, js: JetStreamContext
) -> None:
    # given a bucket whose record is newer than what a restored database, or a deposed leader, has in its outbox
    bucket = BucketSpec(name="things", history=5, max_bytes=1024 * 1024)
    await js.add_stream(bucket_config(bucket, 1))
    subject = bucket.subject("a")
    newer, other = b'{"revision":7,"is":"newer"}', b'{"revision":7,"is":"other"}'
    await js.publish(subject, newer)

    async def put(*records: bytes) -> list[bytes]:
        async with engine.begin() as connection:
            await enqueue(connection, table, [OutboxMessage(subject, record, {}) for record in records])
        await emptied(engine, table)
        state = (await js.stream_info(bucket.stream)).state
        found = [await js.get_msg(bucket.stream, seq=n) for n in range(state.first_seq, state.last_seq + 1)]
        return [item.data or b"" for item in found]

    # when
    assert await put(b'{"revision":6}', b"no record", newer) == [newer]

    # then it stays, and what is as new or newer is put once, in order
    assert await put(other, other, b'{"revision":8}') == [newer, other, b'{"revision":8}']


async def test_a_put_that_another_process_overtakes_looks_again(
    engine: AsyncEngine, table: Table, nc: Client, js: JetStreamContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given another process that puts a newer record just after this one has looked
    bucket = BucketSpec(name="things", history=5, max_bytes=1024 * 1024)
    await js.add_stream(bucket_config(bucket, 1))
    subject = bucket.subject("a")
    look = JetStreamContext.get_last_msg
    looks: list[bool] = []

    async def overtaken(context: JetStreamContext, *arguments: Any, **options: Any) -> Any:
        try:
            return await look(context, *arguments, **options)
        finally:
            if not looks:
                looks.append(True)
                await js.publish(subject, b'{"revision":9}')

    monkeypatch.setattr(JetStreamContext, "get_last_msg", overtaken)

    # when
    async with engine.begin() as connection:
        await enqueue(connection, table, [OutboxMessage(subject, b'{"revision":8}', {})])
    stopping = asyncio.Event()
    running = asyncio.create_task(OutboxRelay(engine, nc, table).run(stopping))
    await emptied(engine, table)
    stopping.set()
    await asyncio.wait_for(running, 10)

    # then
    assert (await look(js, bucket.stream, subject)).data == b'{"revision":9}'
