"""The stream USAGE is unavailable: journals absorb, calls go on, and every event is settled when it is back."""

import asyncio
import random
from typing import Final

import pytest

from tests.fault.driver import Record, load
from tests.fault.faults.stream import usage_away_for
from tests.fault.length import LONG
from tests.fault.oracle import assert_consistent
from tests.fault.world import World

AWAY_S: Final = 120.0 if LONG else 3.0


@pytest.mark.timeout(300)
async def test_no_call_fails_and_no_event_is_lost_while_usage_is_away_for_two_minutes(
    world: World, record: Record, seed: int, rng: random.Random
) -> None:
    # given load on four edges
    keys = [world.key("20") for _ in range(3)]
    async with load(record, keys, rng, workers=4, failover=False, pause_s=0.1):
        await asyncio.sleep(0.5)
        before = len(record.sent)
        # when nobody can write to the stream or read from it
        await usage_away_for(world, AWAY_S)
        meanwhile = len(record.sent) - before
    # then clients noticed nothing, and every call is accounted for
    assert meanwhile > AWAY_S
    assert [(sent.status, sent.code) for sent in record.failures()] == []
    assert_consistent(record)
