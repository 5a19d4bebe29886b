"""Events that an edge numbered and that nobody has any more: list them, and stop waiting for them when a person says so.

Until then the epoch's watermark stands before the gap, and its edge keeps everything behind it in its journal. Writing off lets the
edge forget what it may still have, so it is for epochs whose journal is gone. An event that comes after all is settled like any other.
"""

import logging

from tt_billing.domain.records import MissingEvents
from tt_billing.usecases.context import Context
from tt_billing.usecases.ports import Unit

log = logging.getLogger(__name__)

OLD_MS = 60_000
GAPS_MAX = 10_000


async def list_missing(context: Context) -> list[MissingEvents]:
    """The first gap of each epoch, where it is a minute old."""
    async with context.database.begin() as unit:
        await _bring_up(unit)
        return await unit.missing_events(context.now_ms() - OLD_MS)


async def write_off(context: Context, boot_epoch: str) -> list[MissingEvents]:
    """Every gap of one epoch, however young, is recorded as written off and its watermark moved over it."""
    now_ms = context.now_ms()
    written_off: list[MissingEvents] = []
    async with context.database.begin() as unit:
        await _bring_up(unit)
        for _ in range(GAPS_MAX):
            gaps = [gap for gap in await unit.missing_events(now_ms + 1) if gap.boot_epoch == boot_epoch]
            for gap in gaps:
                await unit.write_off(gap, now_ms)
            written_off += gaps
            if not gaps:
                break
            await unit.advance_watermark(boot_epoch)
    for gap in written_off:
        fields = {"boot_epoch": gap.boot_epoch, "first_seq": gap.first_seq, "last_seq": gap.last_seq}
        log.warning("usage events written off", extra=fields)
    return written_off


async def _bring_up(unit: Unit) -> None:
    """Watermarks are only brought up when an edge asks."""
    for epoch in await unit.epochs_behind():
        await unit.advance_watermark(epoch)
