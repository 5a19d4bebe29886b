"""Ask billing again for entries that it has not answered, so that a bus or a ledger that lost something heals by itself.

The question is the same event with the same id; only its message id differs, so that the broker's dedupe window lets it through.
"""

from tt_deposits.domain.booking import confirmed_event, entries_of
from tt_deposits.usecases.context import Context

FIRST_AFTER_MS = 15_000
LONGEST_MS = 300_000


async def book_again(context: Context, limit: int) -> int:
    """Those that are due, `limit` at most; how many. The wait doubles with each question, up to five minutes."""
    now_ms = context.now_ms()
    async with context.database.begin() as unit:
        overdue = await unit.lock_overdue(now_ms, FIRST_AFTER_MS, LONGEST_MS, limit)
        for deposit in overdue:
            deposit.asked_at_ms = now_ms
            deposit.asked_times += 1
        await unit.save_deposits(overdue)
        # Of what is assigned, billing may have forgotten that it was suspended.
        questions = [confirmed_event(deposit, entry) for deposit in overdue for entry in entries_of(deposit)]
        await unit.enqueue_again(questions)
    if overdue:
        context.metrics.asked_again.inc(len(overdue))
        context.poke_outbox()
    return len(overdue)
