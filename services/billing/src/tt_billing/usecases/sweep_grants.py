"""What time does to grants and holds, measured on the operational clock.

Silent grants become lost, lost ones end when their events are known to be in, grants of closed epochs end when
settled, direct holds expire. Each step looks first without locks, then decides again under the wallets' locks. Never
ends a grant whose usage may still be on the way.
"""

import logging
from collections.abc import Awaitable, Callable

from tt_billing.domain.book import Book, Grant
from tt_billing.domain.grants import end_grant, lose_grant
from tt_billing.domain.holds import expire_hold
from tt_billing.usecases.context import Context
from tt_billing.usecases.ports import FoundIds, Unit

log = logging.getLogger(__name__)

FindGrants = Callable[[Unit], Awaitable[FoundIds]]


async def lose_silent_grants(context: Context, usage_last_seq: int) -> int:
    """Grants past their hard expiry. `usage_last_seq`: the last sequence in USAGE now."""

    def decide(book: Book, grant: Grant) -> None:
        if grant.state in ("open", "closing") and grant.expires_clock_ms <= book.clock_ms:
            lose_grant(book, grant, usage_last_seq)
            log.warning(
                "grant lost",
                extra={"grant_id": grant.grant_id, "edge_id": grant.edge_id, "held_nanousd": grant.held_nanousd},
            )

    return await _for_grants(context, lambda unit: unit.silent_grants(), decide)


async def end_lost_grants(context: Context, lost_grant_s: float, settled_seq: int, usage_last_seq: int) -> int:
    """Lost grants whose time is over, once the consumer has passed (`settled_seq`) what was in USAGE when they were lost."""

    async def find(unit: Unit) -> FoundIds:
        return await unit.finished_lost_grants(lost_grant_s, settled_seq, usage_last_seq)

    def decide(book: Book, grant: Grant) -> None:
        overdue_ms = book.clock_ms - int(lost_grant_s * 1000)
        if grant.state == "lost" and grant.lost_clock_ms is not None and grant.lost_clock_ms <= overdue_ms:
            end_grant(book, grant)
            log.warning("lost grant ended", extra={"grant_id": grant.grant_id, "edge_id": grant.edge_id})

    return await _for_grants(context, find, decide)


async def end_grants_of_closed_epochs(context: Context) -> int:
    """Grants of epochs that are closed and settled to the last event."""
    async with context.database.begin() as unit:
        for boot_epoch in await unit.closed_unsettled_epochs():
            await unit.advance_watermark(boot_epoch)
    return await _for_grants(context, lambda unit: unit.grants_of_closed_epochs(), end_grant)


async def expire_overdue_holds(context: Context) -> int:
    """Direct holds nobody ended in time."""
    async with context.database.begin() as unit:
        rows = await unit.overdue_holds()
        if rows:
            ids, accounts = zip(*rows, strict=True)
            book = await unit.load_book(context.now_ms(), accounts, hold_ids=ids)
            for hold in book.holds.values():
                expire_hold(book, hold)
            await unit.save_book(book)
    if rows:
        context.poke_outbox()
    return len(rows)


async def _for_grants(context: Context, find: FindGrants, decide: Callable[[Book, Grant], None]) -> int:
    async with context.database.begin() as unit:
        rows = await find(unit)
        if rows:
            ids, accounts = zip(*rows, strict=True)
            book = await unit.load_book(context.now_ms(), accounts, grant_ids=ids)
            for grant in book.grants.values():
                decide(book, grant)
            await unit.save_book(book)
    if rows:
        context.poke_outbox()
    return len(rows)
