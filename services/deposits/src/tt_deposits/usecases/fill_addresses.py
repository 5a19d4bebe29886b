"""Addresses are derived and checked ahead of their use, so that giving one out asks no node.

Invariant: a spare address had nothing at the solid height that is stored with it; every transfer above it is seen by the scanner, or
by a re-scan from there where the scanner had passed it when the address came.
"""

import asyncio
import logging
from typing import Final, NamedTuple

from tt_common.contracts.deposits import Rescan
from tt_deposits.domain.base58 import address_text
from tt_deposits.usecases.all_ended import all_ended
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.ports import Node, NodeFailed

log = logging.getLogger(__name__)

BATCH_MAX: Final = 50
IN_FLIGHT_MAX: Final = 4
HAD_BALANCE: Final = "had_balance"
OWN_ACTOR: Final = "deposits"


class _Checked(NamedTuple):
    number: int
    address: bytes
    balance_micro_usdt: int


async def fill_addresses(context: Context) -> int:
    """Derives and checks what is missing of the spare ones, at most BATCH_MAX. How many it added. Raises NodeFailed.

    An index whose address has something already is skipped and told of: it can't be known whose that is.
    """
    async with context.database.begin() as unit:
        spare = await unit.count_spare(context.watch.spare_addresses)
        first = await unit.next_index()
    missing = min(context.watch.spare_addresses - spare, BATCH_MAX)
    if missing <= 0:
        return 0
    node = _node(context)
    checked_height = (await node.newest(solid=True)).height
    checked = await _check(context, node, range(first, first + missing))
    async with context.database.begin() as unit:
        # Held until these are in: no block is committed without them from here on.
        cursor = await unit.lock_cursor(context.rules.network, shared=True)
        for one in checked:
            reason = HAD_BALANCE if one.balance_micro_usdt else ""
            await unit.add_address(one.number, one.address, checked_height, reason, context.now_ms())
        if cursor is not None and cursor.block.height > checked_height:
            await unit.add_rescan(_rescan(first, checked_height + 1, cursor.block.height, context.now_ms()))
    for one in checked:
        if one.balance_micro_usdt:
            log.error(
                "an address had something before it was given out, and is skipped",
                extra={
                    "index": one.number,
                    "address": address_text(one.address),
                    "balance_micro_usdt": one.balance_micro_usdt,
                },
            )
    return len(checked)


async def _check(context: Context, node: Node, indexes: range) -> list[_Checked]:
    slots = asyncio.Semaphore(IN_FLIGHT_MAX)

    async def one(index: int) -> _Checked:
        address = context.key.address(index)
        async with slots:
            return _Checked(index, address, await node.usdt_balance(context.watch.contract, address))

    return await all_ended(one(index) for index in indexes)


def _node(context: Context) -> Node:
    nodes = context.nodes.usable()
    if not nodes:
        raise NodeFailed("all", "waiting")
    return nodes[0]


def _rescan(first_index: int, from_height: int, to_height: int, now_ms: int) -> Rescan:
    return Rescan(
        rescan_id=f"addresses_from_{first_index}",
        from_height=from_height,
        to_height=to_height,
        next_height=from_height,
        found=0,
        state="running",
        actor=OWN_ACTOR,
        reason="addresses came after the scanner had passed",
        created_at_ms=now_ms,
    )
