"""Limits of a key are exact over all edges together, also for a limit of one, and without false refusals."""

import asyncio
import itertools
from collections import Counter

from tests.fault.driver import Record, driver
from tests.fault.oracle import assert_consistent
from tests.fault.world import EXACT, World


async def test_sixty_requests_a_minute_are_exactly_sixty_over_four_unevenly_loaded_edges(
    world: World, record: Record
) -> None:
    # given a key with 60 requests a minute
    key = world.key("5", requests_per_minute=60)
    # when four edges get 100, 20, 5 and 1 calls, mixed
    edges = [0] * 100 + [1] * 20 + [2] * 5 + [3]
    async with driver(record, connections_max=12) as sender:
        await asyncio.gather(*(sender.call(key, edge, switches={"output_tokens": 3}) for edge in edges))
    # then the provider served exactly 60 of them
    outcomes = Counter((sent.status, sent.code) for sent in record.sent)
    assert outcomes == {(200, ""): 60, (429, "rate_limit_exceeded"): 66}
    assert len(world.provider_calls(record.since)) == 60
    assert_consistent(record)


async def test_calls_within_the_limit_are_not_refused_on_any_edge(world: World, record: Record) -> None:
    # given a key with 30 requests a minute
    key = world.key("5", requests_per_minute=30)
    # when exactly 30 calls come one after another, most of them on one edge
    async with driver(record) as sender:
        for number in range(30):
            await sender.call(key, number % 4 if number % 3 == 0 else 0, switches={"output_tokens": 2})
    # then none is refused
    assert [(sent.status, sent.code) for sent in record.failures()] == []
    assert_consistent(record)


async def test_tokens_a_minute_are_never_exceeded_and_all_are_given_out(world: World, record: Record) -> None:
    # given 10,000 tokens a minute, and calls that are estimated and use the same: 84 in, 416 out
    key = world.key("5", tokens_per_minute=10_000)
    async with driver(record) as sender:
        probe = await sender.call(key, 0, model=EXACT, max_tokens=1, switches={"output_tokens": 1})
        (call,) = world.provider_calls(record.since)
        prompt_tokens = call["prompt_tokens"]
        # when 40 calls of about 500 tokens come over four edges
        tokens = {"max_tokens": 400, "switches": {"output_tokens": 400}}
        await asyncio.gather(*(sender.call(key, i % 4, model=EXACT, **tokens) for i in range(40)))
    # then what the provider counted stays within the limit, and no call that would have fitted was refused
    assert probe.outcome == "complete"
    used = sum(c["prompt_tokens"] + c["completion_tokens"] for c in world.provider_calls(record.since))
    assert used <= 10_000
    refused = {(sent.status, sent.code) for sent in record.failures()}
    assert refused == {(429, "rate_limit_exceeded")}
    # The edge counts a prompt a little differently than the provider: one estimate of slack.
    assert used > 10_000 - 2 * (prompt_tokens + 400)
    assert_consistent(record)


async def test_a_concurrency_of_one_is_one_over_four_edges(world: World, record: Record) -> None:
    # given a key that may have one call at a time
    key = world.key("5", concurrency=1)
    async with driver(record) as sender:
        # when twenty come at once
        await asyncio.gather(*(sender.call(key, i % 4, switches={"delay_ms": 150}) for i in range(20)))
    # then the others are refused, and no two overlap at the provider
    refused = {(sent.status, sent.code) for sent in record.failures()}
    assert refused == {(429, "rate_limit_exceeded")}
    calls = sorted(world.provider_calls(record.since), key=lambda call: call["started_at"])
    assert calls
    overlaps = [(a["label"], b["label"]) for a, b in itertools.pairwise(calls) if b["started_at"] < a["ended_at"]]
    assert overlaps == []
    assert_consistent(record)


async def test_one_after_another_on_changing_edges_a_concurrency_of_one_refuses_nothing(
    world: World, record: Record
) -> None:
    # given a key that may have one call at a time
    key = world.key("5", concurrency=1)
    # when calls follow each other, each on another edge than the one before
    async with driver(record) as sender:
        for number in range(16):
            await sender.call(key, number % 4, stream=number % 2 == 0, switches={"output_tokens": 3})
    # then none is refused
    assert [(sent.status, sent.code) for sent in record.failures()] == []
    assert_consistent(record)
