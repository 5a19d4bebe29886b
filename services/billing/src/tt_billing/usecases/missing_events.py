"""Events that an edge numbered and that nobody has any more: list them, and stop waiting for them when a person says so.

Until then the epoch's watermark stands before the gap, and its edge keeps everything behind it in its journal. An event that
comes after all is settled like any other. Never writes off what may still be on its way: only gaps that are a minute old.
"""

import logging

from tt_billing.domain.records import MissingEvents
from tt_billing.usecases.context import Context

log = logging.getLogger(__name__)

GAP_AGE_MS = 60_000
ROUNDS_MAX = 10_000


async def missing_events(context: Context, *, write_off: bool) -> list[MissingEvents]:
    """The first gap of each epoch; with `write_off` every gap, each recorded and its epoch's watermark moved over it."""
    found: list[MissingEvents] = []
    async with context.database.begin() as unit:
        for boot_epoch in await unit.epochs_behind():
            await unit.advance_watermark(boot_epoch)
    for _ in range(ROUNDS_MAX):
        now_ms = context.now_ms()
        async with context.database.begin() as unit:
            gaps = await unit.missing_events(now_ms - GAP_AGE_MS)
            found += gaps
            if not gaps or not write_off:
                return found
            for gap in gaps:
                await unit.write_off(gap, now_ms)
                await unit.advance_watermark(gap.boot_epoch)
                log.warning(
                    "usage events written off",
                    extra={"boot_epoch": gap.boot_epoch, "first_seq": gap.first_seq, "last_seq": gap.last_seq},
                )
    return found
