"""Nobody spends what isn't there, and nobody is refused while there is unreserved money: four edges, one wallet."""

import asyncio
import json

from tests.fault.driver import Driver, Record, driver
from tests.fault.oracle import assert_consistent
from tests.fault.world import DEAR, EXACT, HOLD_OUTPUT_TOKENS, Key, World

USD = 1_000_000_000


async def test_600_parallel_calls_of_two_tenths_of_a_cent_on_one_dollar_give_500_answers_and_a_balance_of_zero(
    world: World, record: Record
) -> None:
    # given a dollar, and calls whose hold and cost are both exactly $0.002
    key = world.key("1")
    call = {"model": EXACT, "max_tokens": 1000, "switches": {"output_tokens": 1000}}
    # when 600 of them arrive at once, spread over four edges
    async with driver(record) as sender:
        await asyncio.gather(*(sender.call(key, i % 4, **call) for i in range(600)))
    # then exactly 500 succeed, the rest are refused for want of money, and nothing is left
    refused = [(sent.status, sent.code) for sent in record.failures()]
    assert refused == [(402, "billing_shortfall")] * 100
    events = assert_consistent(record)
    assert [event.cost_nanousd for event in events.values()] == [2_000_000] * 500
    assert world.balance(key.account_id) == (0, 0)


async def test_half_a_dollar_is_found_while_four_edges_hold_grants_with_small_streams_on_them(
    world: World, record: Record
) -> None:
    # given a dollar, and on each edge a grant with two streams that hold $0.0006 each
    key = world.key("1")
    async with driver(record) as sender:
        streams = [asyncio.create_task(_small_stream(sender, key, edge)) for edge in (0, 1, 2, 3) * 2]
        await asyncio.sleep(1.0)
        grants = world.billing_rows(
            "SELECT edge_id FROM grants WHERE account_id = %s AND state = 'open'", key.account_id
        )
        assert len({row["edge_id"] for row in grants}) == 4
        # when a call needs half a dollar
        big = await sender.call(key, 2, model=DEAR, max_tokens=1000, switches={"output_tokens": 1000})
        assert not all(task.done() for task in streams), "the streams must still run, or this proves nothing"
        await asyncio.gather(*streams)
    # then it and the streams succeed
    assert (big.status, big.code, big.outcome) == (200, "", "complete")
    assert record.failures() == []
    assert_consistent(record)
    assert world.balance(key.account_id) == (USD // 2 - 8 * 30 * 2_000, 0)


async def _small_stream(sender: Driver, key: Key, edge: int) -> None:
    await sender.call(
        key, edge, model=EXACT, stream=True, max_tokens=300, switches={"output_tokens": 30, "chunk_delay_ms": 100}
    )


async def test_a_stream_without_a_limit_is_cut_off_with_an_error_event_when_the_wallet_is_empty(
    world: World, record: Record
) -> None:
    # given enough for twice the first hold and a bit, and a stream that wants far more
    key = world.key("0.4")
    assert 2 * HOLD_OUTPUT_TOKENS < 800
    async with driver(record) as sender:
        # when it runs
        long_stream = sender.call(
            key, 1, model=DEAR, stream=True, switches={"output_tokens": 4000, "chunk_delay_ms": 1}
        )
        sent = await long_stream
    # then it ends in an error event after what the wallet could pay, and the balance is not below zero
    last = [line for line in sent.body.decode().splitlines() if line.startswith("data: ")][-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "billing_shortfall"
    assert sent.outcome == "partial"
    (event,) = assert_consistent(record).values()
    assert (event.outcome, event.usage_source) == ("cut_off", "estimated")
    available, held = world.balance(key.account_id)
    assert held == 0
    assert available >= 0
    # The hold had grown until not even the smallest extension, 64 tokens, was left.
    assert event.hold_nanousd > 400_000_000 - 64 * 500_000
