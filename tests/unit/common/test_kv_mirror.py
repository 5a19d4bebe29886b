"""A bucket mirrored in memory: pushed at once, caught up after an outage, never forgetting."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client
from nats.js.client import JetStreamContext

from tests.unit.common.waiting import until
from tt_common.bus.connection import connect
from tt_common.bus.kv_mirror import KvMirror
from tt_common.contracts.streams import BucketSpec
from tt_common.deploy import bucket_config
from tt_sandbox.stack.nats_server import EmbeddedNats

BUCKET = BucketSpec(name="mirrored", history=1, max_bytes=1024 * 1024)
SEEN_WITHIN_S = 1.0


class Reader:
    """What a mirror feeds; a value of `bad` is no record."""

    def __init__(self) -> None:
        self.known: dict[str, bytes] = {}

    def take(self, key: str, value: bytes) -> None:
        if value == b"bad":
            raise ValueError("not a record")
        self.known[key] = value


@pytest.fixture
async def js(nc: Client) -> JetStreamContext:
    context = nc.jetstream(timeout=5)
    await context.add_stream(bucket_config(BUCKET, 1))
    return context


async def put(js: JetStreamContext, key: str, value: bytes) -> None:
    await js.publish(BUCKET.subject(key), value)


@pytest.fixture
async def reader() -> Reader:
    return Reader()


@pytest.fixture
async def mirror(broker: EmbeddedNats, js: JetStreamContext, reader: Reader) -> AsyncIterator[KvMirror]:
    """A mirror on a connection of its own, refreshed on reconnect as a service does it."""
    made: list[KvMirror] = []

    async def reconnected() -> None:
        made[0].refresh()

    client = await connect(broker.url, "mirror", reconnected)
    made.append(KvMirror(client, BUCKET, reader.take))
    yield made[0]
    await made[0].stop()
    await client.close()


async def test_the_first_read_brings_everything(js: JetStreamContext, reader: Reader, mirror: KvMirror) -> None:
    # given more records than one fetch brings
    await asyncio.gather(*(put(js, f"key{number}", b"%d" % number) for number in range(1200)))
    assert not mirror.loaded
    assert mirror.age_s == float("inf")

    # when
    await mirror.start(5)

    # then
    assert mirror.loaded
    assert mirror.age_s < 5
    assert reader.known == {f"key{number}": b"%d" % number for number in range(1200)}


async def test_a_put_is_seen_at_once(js: JetStreamContext, reader: Reader, mirror: KvMirror) -> None:
    await mirror.start(5)
    await put(js, "key", b"1")
    await until(lambda: reader.known == {"key": b"1"}, SEEN_WITHIN_S)


async def test_a_bad_record_is_an_alarm_and_hides_nothing(
    js: JetStreamContext, reader: Reader, mirror: KvMirror
) -> None:
    # given a bad record among good ones, in the first read and in a push
    await put(js, "good", b"1")
    await put(js, "rotten", b"bad")
    await put(js, "later", b"2")
    await mirror.start(5)
    assert reader.known == {"good": b"1", "later": b"2"}
    await put(js, "rotten", b"bad")
    await put(js, "last", b"3")

    # then
    await until(lambda: "last" in reader.known, SEEN_WITHIN_S)
    assert mirror.alarms == 2


async def test_a_deleted_key_stays_known(js: JetStreamContext, reader: Reader, mirror: KvMirror) -> None:
    await put(js, "key", b"1")
    await mirror.start(5)
    await js.publish(BUCKET.subject("key"), b"", headers={"KV-Operation": "DEL"})
    await put(js, "other", b"2")
    await until(lambda: "other" in reader.known, SEEN_WITHIN_S)
    assert reader.known["key"] == b"1"


async def test_a_missing_bucket_is_not_loaded_and_read_when_it_comes(
    js: JetStreamContext, reader: Reader, mirror: KvMirror
) -> None:
    # given
    await js.delete_stream(BUCKET.stream)
    await mirror.start(0.2)
    assert not mirror.loaded

    # when
    await js.add_stream(bucket_config(BUCKET, 1))
    await put(js, "key", b"1")

    # then
    await until(lambda: mirror.loaded and reader.known == {"key": b"1"}, 3)


async def test_a_bucket_made_anew_is_an_alarm_and_what_is_known_is_kept(
    js: JetStreamContext, reader: Reader, mirror: KvMirror
) -> None:
    # given
    await put(js, "old", b"1")
    await mirror.start(5)

    # when the bucket is deleted and comes back with other content
    await js.delete_stream(BUCKET.stream)
    await js.add_stream(bucket_config(BUCKET, 1))
    await put(js, "new", b"2")
    mirror.refresh()

    # then
    await until(lambda: mirror.alarms == 1)
    await until(lambda: reader.known == {"old": b"1", "new": b"2"})


async def test_after_a_kill_and_restart_what_was_missed_is_read_within_a_second(
    broker: EmbeddedNats, nc: Client, js: JetStreamContext, reader: Reader, mirror: KvMirror
) -> None:
    # given a mirror whose broker dies; a put happens in the moment when another client is back and the mirror is not
    await put(js, "key", b"1")
    await mirror.start(5)
    broker.kill()
    assert reader.known == {"key": b"1"}

    # when
    await asyncio.to_thread(broker.start)
    await until(lambda: nc.is_connected, 10)
    await put(js, "key", b"2")

    # then
    await until(lambda: reader.known == {"key": b"2"}, SEEN_WITHIN_S)


async def test_what_the_push_missed_comes_with_a_re_read(
    js: JetStreamContext, reader: Reader, mirror: KvMirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a mirror whose push is deaf
    async def deaf(_: object) -> None:
        return

    monkeypatch.setattr(mirror, "_pushed", deaf)
    await mirror.start(5)
    await put(js, "key", b"1")
    await asyncio.sleep(0.05)
    assert reader.known == {}

    # when the service reconnects
    mirror.refresh()

    # then
    await until(lambda: reader.known == {"key": b"1"}, SEEN_WITHIN_S)
