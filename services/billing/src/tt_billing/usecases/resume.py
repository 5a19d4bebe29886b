"""Take up work on a database that was restored from a backup: learn again what the world outside still knows.

Usage events come again from the stream (the consumer's position says from where). Here: price versions that were published after the
backup, from the edges' bucket, and grants of which it is not known whether their edges still have them. Safe to repeat, and
harmless where nothing was restored. Never changes a price version that is there.
"""

import logging
from collections.abc import Iterable

from tt_billing.domain.prices import forgotten_versions, price_record
from tt_billing.usecases.context import Context
from tt_common.contracts.records import PriceRecord

log = logging.getLogger(__name__)

ACTOR = "restored from the bucket"


async def adopt_prices(context: Context, records: Iterable[PriceRecord]) -> int:
    """Put versions into the price book that the bucket has and the book has not; how many. `records` may hold older ones too."""
    by_model: dict[str, list[PriceRecord]] = {}
    for record in records:
        by_model.setdefault(record.model, []).append(record)
    adopted = 0
    for model in sorted(by_model):
        adopted += await _adopt_model(context, model, by_model[model])
    if adopted:
        context.poke_outbox()
    return adopted


async def _adopt_model(context: Context, model: str, records: list[PriceRecord]) -> int:
    newest = max(record.revision for record in records)
    async with context.database.begin() as unit:
        revision = await unit.lock_model(model)
        known = await unit.versions_of(model)
        if newest <= revision:
            return 0
        forgotten = forgotten_versions(known, [price for record in records for price in record.versions])
        for price in forgotten:
            await unit.add_version(price, ACTOR)
        await unit.save_revision(model, newest)
        await unit.push_record(price_record(model, newest, await unit.versions_of(model), context.now_ms()))
    log.warning(
        "prices adopted from the bucket", extra={"model": model, "versions": len(forgotten), "revision": newest}
    )
    return len(forgotten)


async def doubt_grants(context: Context, usage_last_seq: int, lost_grant_s: float) -> int:
    """Grants as a backup knows them may long be closed: those that their edges don't renew within the hard expiry end, once what is
    in USAGE now is settled. How many are doubted.
    """
    async with context.database.begin() as unit:
        return await unit.doubt_grants(usage_last_seq, context.terms.hard_ttl_s, lost_grant_s)
