"""Events that come when their grant is long over: charged once, from what the wallet has."""

import asyncio
from typing import Final

from tests.fault.driver import Record, driver
from tests.fault.faults.clocks import DAY_S
from tests.fault.faults.fault import bring_up, restart_with
from tests.fault.oracle import assert_consistent
from tests.fault.world import EXACT, HARD_TTL_S, Key, World
from tests.support.waiting import eventually
from tt_common.clock import OFFSET_VARIABLE
from tt_edge.crash_points import EXIT_STATUS

USD: Final = 1_000_000_000
CALLS: Final = 5


async def test_events_that_come_a_day_late_are_charged_once_though_their_grant_has_ended(
    world: World, record: Record
) -> None:
    # given an edge that died with a settled call that it had not published
    key = world.key("1")
    edge = world.edges[2]
    edge.kill()
    edge.env.update(EDGE_CRASH_AT="after_settled", EDGE_CRASH_AFTER=str(CALLS))
    await asyncio.to_thread(edge.start)
    async with driver(record) as sender:
        for _ in range(CALLS):
            await sender.call(key, 2, model=EXACT, max_tokens=1000, switches={"output_tokens": 1000})
    assert await asyncio.to_thread(edge.process.wait, 10.0) == EXIT_STATUS
    edge.env.update(EDGE_CRASH_AT="", EDGE_CRASH_AFTER="1")
    try:
        # when a day passes, in which billing gives back what the edge held
        await asyncio.to_thread(restart_with, world.billing, **{OFFSET_VARIABLE: str(DAY_S)})
        await asyncio.to_thread(_pass_until, world, key, "lost", HARD_TTL_S + 1)
        await asyncio.to_thread(_pass_until, world, key, "ended", DAY_S)
        assert world.balance(key.account_id)[1] == 0
        # and the edge comes back
        await asyncio.to_thread(bring_up, edge)
        # then what it had not told is charged all the same, once
        events = assert_consistent(record, commands=True)
        assert len(events) == CALLS
        assert world.balance(key.account_id) == (USD - CALLS * 2_000_000, 0)
    finally:
        await asyncio.to_thread(restart_with, world.billing, **{OFFSET_VARIABLE: "0"})


async def test_a_grant_whose_paused_edge_is_past_the_hard_expiry_is_lost_but_held_and_found_again(
    world: World, record: Record
) -> None:
    # given an edge with streams under way, standing still
    key = world.key("1")
    slow = {"output_tokens": 100, "chunk_delay_ms": 20}
    async with driver(record) as sender:
        streams = [
            asyncio.create_task(sender.call(key, 1, model=EXACT, stream=True, max_tokens=100, switches=slow))
            for _ in range(5)
        ]
        await asyncio.sleep(0.7)
        world.edges[1].pause()
        # when its grant is past the hard expiry
        await asyncio.to_thread(_pass_until, world, key, "lost", HARD_TTL_S + 1)
        # then what it may still spend stays held
        assert world.balance(key.account_id)[1] >= 5 * 200_000
        # and when it goes on, its streams end well and are charged once
        world.edges[1].resume()
        await asyncio.gather(*streams)
    assert record.failures() == []
    events = assert_consistent(record)
    assert [event.cost_nanousd for event in events.values()] == [200_000] * 5
    assert world.balance(key.account_id) == (USD - 5 * 200_000, 0)


def _pass_until(world: World, key: Key, state: str, seconds: float) -> None:
    world.pass_time(seconds)
    query = "SELECT count(*) FILTER (WHERE state <> %s) AS others, count(*) AS n FROM grants WHERE account_id = %s"

    def reached() -> bool:
        (row,) = world.billing_rows(query, state, key.account_id)
        return row["n"] > 0 and row["others"] == 0

    eventually(reached, f"the grants are {state}")
