"""Compare ledger, grants, usage record, receipts and epochs with each other; report differences, never correct them.

A difference is corrected by new entries, made by a person.
"""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from tt_billing.domain.records import BookedUsage, Difference
from tt_billing.usecases.context import Context
from tt_billing.usecases.ports import Unit
from tt_common.contracts.events import UsageEvent
from tt_common.rating import Price, cost_nanousd

RATING_CHECK = "receipts are rated right"
DIFFERENCES_MAX = 100
REST_S = 0.001
"""After each portion of receipts, so that grants and settlement come first: they share the processor with this."""

_decoder = msgspec.json.Decoder(UsageEvent)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`usage_backlog` is None where the stream was not asked. Events up to `rated_to_position` were rated again, `rated` in this run."""

    made_at_ms: int
    clean: bool
    checks: tuple[str, ...]
    differences: tuple[Difference, ...]
    rated: int
    rated_to_position: int
    quarantined: int
    usage_backlog: int | None


async def reconcile(context: Context, usage_backlog: int | None, *, whole: bool) -> Report:
    """Run every check on one snapshot and store the report. `whole` rates every receipt again, else those since the last clean run."""
    now_ms = context.now_ms()
    async with context.database.snapshot() as unit:
        checks, found = await unit.reconcile_differences(now_ms)
        after = 0 if whole else await unit.last_rated_position()
        rated, position, wrong = await _rate_again(unit, after)
        report = Report(
            made_at_ms=now_ms,
            clean=not found and not wrong,
            checks=(*checks, RATING_CHECK),
            differences=(*found, *wrong),
            rated=rated,
            rated_to_position=position,
            quarantined=await unit.count_quarantined(),
            usage_backlog=usage_backlog,
        )
    async with context.database.begin() as unit:
        await unit.save_report(report.clean, msgspec.json.encode(report).decode(), now_ms)
    return report


async def _rate_again(unit: Unit, after: int) -> tuple[int, int, list[Difference]]:
    prices: dict[str, Price | None] = {}
    wrong: list[Difference] = []
    rated, position = 0, after
    async for rows in unit.stream_unflagged(after):
        for version in {row.price_version for row in rows} - prices.keys():
            prices[version] = await unit.find_version(version)
        wrong = [*wrong, *_rated_wrong(rows, prices)][:DIFFERENCES_MAX]
        rated, position = rated + len(rows), rows[-1].position
        await asyncio.sleep(REST_S)
    return rated, position, wrong


def _rated_wrong(rows: Sequence[BookedUsage], prices: Mapping[str, Price | None]) -> list[Difference]:
    found = (rating_difference(_decoder.decode(r.event), r.cost_nanousd, prices[r.price_version]) for r in rows)
    return [difference for difference in found if difference is not None]


def rating_difference(event: UsageEvent, booked_nanousd: int, price: Price | None) -> Difference | None:
    """None where the price version gives the cost that was booked. An estimate may be less: it never exceeds its hold."""
    if price is None:
        if booked_nanousd == 0:
            return None
        return Difference(RATING_CHECK, f"event {event.id}", f"a price {event.price_version}", "no such version")
    rated = cost_nanousd(event.usage, price, event.service_tier)
    capped = event.usage_source == "estimated" and booked_nanousd <= rated
    uncharged = event.outcome in ("unresolved", "failed") and booked_nanousd == 0
    if booked_nanousd == rated or capped or uncharged:
        return None
    return Difference(RATING_CHECK, f"event {event.id}", str(rated), str(booked_nanousd))
