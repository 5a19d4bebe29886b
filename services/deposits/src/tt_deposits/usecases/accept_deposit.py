"""Transfers to our addresses, as the scanner finds them: taken in from solid blocks, noted from others, orphaned where they vanish.

Invariant: one row per (network, txid, log index), decided on once. Everything happens in the scanner's transaction, with its cursor.
"""

from collections.abc import Sequence

import msgspec

from tt_deposits.domain.changes import Changes
from tt_deposits.domain.intake import UNSOLID, Arrival, arrival_of, placed, take_in
from tt_deposits.domain.records import Address, BlockRef, Rules, Transfer
from tt_deposits.usecases.desk_ports import DeskUnit
from tt_deposits.usecases.write_changes import write_changes

Found = Sequence[tuple[Transfer, Address]]
"""Transfers of one block with the addresses that they are to, those locked, in the block's order."""


async def accept(unit: DeskUnit, rules: Rules, block: BlockRef, arrivals: Found, now_ms: int) -> int:
    """Of a solid block: decide on each. How many were not confirmed before; the same block again changes nothing."""
    found = await _with_known(unit, rules, block, arrivals)
    new = [arrival for arrival in found if arrival.known is None or arrival.known.state in UNSOLID]
    if not new:
        return 0
    waiting = await unit.lock_waiting({arrival.address.index for arrival in new})
    accounts = {arrival.address.account_id for arrival in new} - {None}
    orders = await unit.lock_wanting_orders({account for account in accounts if account}) if accounts else []
    changes = Changes(rules, now_ms, orders)
    taken = take_in(changes, new, waiting)
    await write_changes(unit, changes)
    return taken


async def notice(unit: DeskUnit, rules: Rules, block: BlockRef, arrivals: Found, now_ms: int) -> int:
    """Of a block that may still vanish: remember each, for display. How many were not known; what is solid stays as it is."""
    changes = Changes(rules, now_ms)
    new = 0
    for arrival in await _with_known(unit, rules, block, arrivals):
        known = arrival.known
        if arrival.deposit_id in changes.deposits or (known and known.state not in UNSOLID):
            continue
        deposit = placed(rules.network, arrival)
        if known is None or known.state == "orphaned":
            changes.detect(deposit, first=known is None)
            new += known is None
        elif known.block != block:
            changes.deposits[deposit.deposit_id] = deposit
    await write_changes(unit, changes)
    return new


async def orphan(unit: DeskUnit, rules: Rules, solid_height: int, now_ms: int) -> int:
    """What was noticed in blocks up to `solid_height`, all of which are taken in now, and is in none of them. How many."""
    changes = Changes(rules, now_ms)
    for deposit in await unit.lock_unsolid(solid_height):
        changes.orphan(deposit)
    await write_changes(unit, changes)
    return len(changes.deposits)


async def _with_known(unit: DeskUnit, rules: Rules, block: BlockRef, arrivals: Found) -> list[Arrival]:
    found = [arrival_of(rules.network, block, transfer, address) for transfer, address in arrivals]
    if not found:
        return []
    known = await unit.lock_deposits({arrival.deposit_id for arrival in found})
    return [msgspec.structs.replace(arrival, known=known.get(arrival.deposit_id)) for arrival in found]
