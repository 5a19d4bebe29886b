"""Reconciliation runs in the process that opens grants and settles usage, and must not be in their way."""

import asyncio
import time

from tests.integration.billing.conftest import USD, Billing

RECEIPTS = 8_000
LONG_TURN_S = 0.01
LONG_TURNS_MAX = 3


async def test_rating_many_receipts_again_held_up_every_grant(billing: Billing) -> None:
    await billing.price_of_one()
    await billing.credit("acc_1", USD)
    await billing.publish(billing.usage(100))
    await billing.settled(1)
    columns = (
        "account_id, key_id, grant_id, edge_id, boot_epoch, model, outcome, month, cost_nanousd, charged_nanousd, price_version,"
        " flags, event, booked_at_ms"
    )
    billing.rows(
        f"INSERT INTO usage_events (id, edge_seq, {columns}) SELECT gen_random_uuid(), n, {columns}"
        f" FROM usage_events, generate_series(2, {RECEIPTS}) AS n"
    )
    turns: list[float] = []

    async def watch() -> None:
        """The processor time of each turn of the event loop: a busy machine makes it hardly longer."""
        while True:
            began_s = time.thread_time()
            await asyncio.sleep(0)
            turns.append(time.thread_time() - began_s)

    watching = asyncio.create_task(watch())
    report = await billing.reconcile()
    watching.cancel()

    assert report.rated == RECEIPTS
    long_turns = [turn_s for turn_s in turns if turn_s > LONG_TURN_S]
    assert len(long_turns) <= LONG_TURNS_MAX, f"{max(long_turns):.3f} s at most"
