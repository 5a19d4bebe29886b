"""The disk of an edge's journal is full: no call begins that could not be kept, and none that began is lost."""

import asyncio
from typing import Final

from tests.fault.driver import Driver, Record, driver
from tests.fault.faults.disk import file_limit
from tests.fault.faults.fault import restart_with
from tests.fault.length import only_long
from tests.fault.oracle import assert_consistent
from tests.fault.world import EXACT, Key, World

SEGMENT_BYTES: Final = 2 * 1024 * 1024
AT_ONCE: Final = 16
CALLS_MAX: Final = 6_000
"""More than the segments that an edge has in hand can hold."""
ROOM_AGAIN_S: Final = 10.0
DISK_IS_TRIED_AGAIN_S: Final = 1.5


@only_long
async def test_an_edge_whose_disk_is_full_calls_no_provider_and_goes_on_when_there_is_room_again(
    world: World, record: Record
) -> None:
    # given an edge with small segments
    key, edge = world.key("20"), world.edges[3]
    await asyncio.to_thread(restart_with, edge, EDGE_JOURNAL_SEGMENT_BYTES=str(SEGMENT_BYTES))
    try:
        async with driver(record) as sender:
            # when the disk gives no new one, and calls come until those in hand are full
            with file_limit(edge, SEGMENT_BYTES - 1):
                full = asyncio.Event()
                await asyncio.gather(*(_call_until_refused(sender, key, full) for _ in range(AT_ONCE)))
            # then they are refused, and served again when there is room
            refused = {(sent.status, sent.code) for sent in record.failures()}
            assert refused == {(503, "journal_unavailable")}
            await asyncio.wait_for(_call_until_served(sender, key), ROOM_AGAIN_S)
        # then no refused call has reached the provider, and every served one is charged once
        served = {call["label"] for call in world.provider_calls(record.since)}
        assert served == {sent.label for sent in record.sent if sent.status == 200}
        assert_consistent(record)
    finally:
        del edge.env["EDGE_JOURNAL_SEGMENT_BYTES"]
        await asyncio.to_thread(restart_with, edge)


async def test_a_call_settled_while_the_disk_failed_is_not_told_of_again_when_its_edge_is_killed_later(
    world: World, record: Record
) -> None:
    # given an edge with streams under way
    key, edge = world.key("1"), world.edges[3]
    slow = {"output_tokens": 50, "chunk_delay_ms": 10}
    async with driver(record) as sender:
        streams = [
            asyncio.create_task(sender.call(key, 3, model=EXACT, stream=True, max_tokens=50, switches=slow))
            for _ in range(5)
        ]
        await asyncio.sleep(0.3)
        # when its disk takes nothing until they have ended, and it is killed some time after
        with file_limit(edge, 0):
            await asyncio.gather(*streams)
        await asyncio.sleep(DISK_IS_TRIED_AGAIN_S)
        edge.kill()
    await asyncio.to_thread(edge.start)
    # then each has its one event, and the edge's last word of its epoch is right
    assert record.failures() == []
    events = assert_consistent(record, commands=True)
    assert len(events) == 5


async def _call_until_refused(sender: Driver, key: Key, full: asyncio.Event) -> None:
    while not full.is_set() and len(sender.record.sent) < CALLS_MAX:
        if (await _call(sender, key)) != 200:
            full.set()


async def _call_until_served(sender: Driver, key: Key) -> None:
    while await _call(sender, key) != 200:
        pass


async def _call(sender: Driver, key: Key) -> int:
    return (await sender.call(key, 3, model=EXACT, max_tokens=1, switches={"output_tokens": 1})).status
