"""Billing dies at a named point, or anywhere under load: nothing is charged twice, nothing is lost, clients hardly notice."""

import asyncio
import random
import time
from typing import Final

import pytest

from tests.fault.driver import Record, load
from tests.fault.oracle import assert_consistent
from tests.fault.world import World
from tt_common.crash_points import EXIT_STATUS

DIES_WITHIN_S: Final = 30.0
AWAY_S_MAX: Final = 5.0
POINTS: Final = ("before_commit", "after_commit_before_ack", "mid_grant", "after_grant_commit_before_reply")


async def test_billing_that_dies_at_every_named_point_charges_each_call_once(
    world: World, record: Record, seed: int, rng: random.Random
) -> None:
    # given load on four edges
    keys = [world.key("20") for _ in range(3)]
    billing = world.billing
    async with load(record, keys, rng):
        # when billing dies at one point after the other
        billing.kill()
        for point in rng.sample(POINTS, len(POINTS)):
            billing.env.update(BILLING_CRASH_AT=point, BILLING_CRASH_AFTER=str(rng.randint(1, 3)))
            billing.launch()
            exit_code = await asyncio.to_thread(billing.process.wait, DIES_WITHIN_S)
            assert exit_code == EXIT_STATUS, f"billing did not die at {point}"
        billing.env.update(BILLING_CRASH_AT="", BILLING_CRASH_AFTER="1")
        await asyncio.to_thread(billing.start)
        await asyncio.sleep(0.5)
    # then every call is accounted for
    assert_consistent(record, commands=True)


async def test_no_client_sees_an_error_while_billing_is_killed_and_back_within_five_seconds(
    world: World, record: Record, seed: int, rng: random.Random
) -> None:
    # given load on four edges, light enough to leave a small machine room to start billing in time
    keys = [world.key("20") for _ in range(3)]
    async with load(record, keys, rng, workers=6, failover=False, pause_s=0.2):
        await asyncio.sleep(1 + rng.random())
        # when billing is killed and started anew
        before = len(record.sent)
        world.billing.kill()
        killed_at = time.monotonic()
        await asyncio.to_thread(world.billing.start)
        away_s = time.monotonic() - killed_at
        await asyncio.sleep(1)
    # then no client has seen an error, and calls went on
    assert_consistent(record)
    if away_s >= AWAY_S_MAX:
        pytest.skip(f"this machine takes {away_s:.1f} s to start billing: nothing is promised then")
    assert len(record.sent) > before + 10
    assert [(sent.status, sent.code, sent.body) for sent in record.failures()] == []
