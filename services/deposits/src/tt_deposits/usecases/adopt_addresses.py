"""Take up work on a database that was restored from a backup: learn from the stream ADDRESSES whose addresses it has forgotten.

Invariant: whoever was shown an address keeps it, because an assignment is in the stream before it is shown. The stream is read from
the position that is stored with what was taken over, so a database that has forgotten nothing reads next to nothing. Safe to repeat.
"""

import logging
from collections.abc import Sequence
from typing import Final

from tt_common.bus.consumer import StreamPosition
from tt_common.contracts.deposit_events import AddressAssigned
from tt_common.contracts.deposits import Rescan
from tt_common.contracts.streams import ADDRESSES
from tt_common.ids import new_id
from tt_deposits.domain.assignments import RESTORED, compare, is_ours
from tt_deposits.domain.base58 import address_bytes
from tt_deposits.domain.records import Cursor
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.ports import Assignments, SaidBatch, Unit

log = logging.getLogger(__name__)

BATCH_MAX: Final = 500
OWN_ACTOR: Final = "deposits"


async def adopt_addresses(context: Context, assignments: Assignments) -> int:
    """How many the database had forgotten. Raises Unavailable; what was taken over before stays."""
    state = await assignments.state()
    async with context.database.begin() as unit:
        position = await unit.read_position(ADDRESSES.name)
    after = position.sequence if position is not None and position.created == state.created else 0
    if state.sequence <= after:
        return 0
    adopted = 0
    async for batch in assignments.read(after, BATCH_MAX):
        adopted += await _take_in(context, state.created, batch)
    if adopted:
        retired = await _retire(context)
        log.error(
            "the database was restored from a backup: addresses that it had forgotten are their accounts' again",
            extra={"addresses": adopted, "retired": retired},
        )
    return adopted


async def _take_in(context: Context, created: str, batch: SaidBatch) -> int:
    ours = [event for event in batch.events if is_ours(event, context.key, context.rules.network)]
    if len(ours) < batch.messages:
        log.error("assignments of another xpub or network, or none", extra={"number": batch.messages - len(ours)})
    now_ms = context.now_ms()
    async with context.database.begin() as unit:
        # Held until these are in: no block is committed without them from here on.
        cursor = await unit.lock_cursor(context.rules.network, shared=True)
        known = await unit.lock_claims({event.index for event in ours}, {event.account_id for event in ours})
        found = compare(ours, known)
        for event, _ in found.conflicts:
            await unit.retire_address(event.index, address_bytes(event.address), now_ms)
        indexes = {claim.index for claim in known}
        for event in found.adopted.values():
            await unit.adopt_address(event, address_bytes(event.address), now_ms)
        await _rescan(context, unit, cursor, [event for index, event in found.adopted.items() if index not in indexes])
        await unit.save_position(ADDRESSES.name, StreamPosition(created, batch.sequence), 0)
    for event, conflict in found.conflicts:
        log.error("an address is claimed twice, and nobody gets it", extra={"index": event.index, "reason": conflict})
    return len(found.adopted)


async def _rescan(context: Context, unit: Unit, cursor: Cursor | None, unwatched: Sequence[AddressAssigned]) -> None:
    """From where the first of them had nothing to where the scanner has been without them."""
    if cursor is None or not unwatched:
        return
    first = max(1, min(event.checked_height for event in unwatched) + 1)
    if first <= cursor.block.height:
        await unit.add_rescan(
            Rescan(
                rescan_id=new_id("rescan"),
                from_height=first,
                to_height=cursor.block.height,
                next_height=first,
                found=0,
                state="running",
                actor=OWN_ACTOR,
                reason="addresses were forgotten when the scanner passed",
                created_at_ms=context.now_ms(),
            )
        )


async def _retire(context: Context) -> int:
    """Below the highest that is known to be given nothing is given any more: what was ready there, and what was never heard of.

    All of it is watched: money that comes is in suspense.
    """
    retired = 0
    async with context.database.begin() as unit:
        retired += await unit.retire_spares(RESTORED)
    while True:
        async with context.database.begin() as unit:
            missing = await unit.missing_indexes(BATCH_MAX)
            for index in missing:
                await unit.add_address(index, context.key.address(index), 0, RESTORED, context.now_ms())
        retired += len(missing)
        if len(missing) < BATCH_MAX:
            return retired
