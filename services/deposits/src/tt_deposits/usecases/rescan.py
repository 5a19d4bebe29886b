"""Ranges of solid blocks read again: every block is proven and compared as by the scanner, and what is known changes nothing.

It runs beside the scan, a few blocks at a time, and goes on where it stood after a restart.
"""

import logging
from typing import Final

from tt_common.contracts.deposits import Rescan, StartRescan
from tt_common.errors import DomainError
from tt_deposits.domain.records import BlockRef
from tt_deposits.usecases.compare_nodes import Told, check_links, compare_nodes, compare_told
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.halt import MustHalt, halt
from tt_deposits.usecases.keep_blocks import keep_blocks
from tt_deposits.usecases.read_blocks import NotRead, read_blocks

log = logging.getLogger(__name__)

STEP_BLOCKS: Final = 20


async def start_rescan(context: Context, request: StartRescan) -> Rescan:
    """Of a range that the scanner has passed, both ends included. Errors: invalid_request, invalid_state, idempotency_conflict."""
    if not 0 < request.from_height <= request.to_height:
        raise DomainError("invalid_request", "a re-scan goes from a height above 0 to one that is not below it")
    async with context.database.begin() as unit:
        cursor = await unit.read_cursor(context.rules.network)
        if cursor is None or request.to_height > cursor.block.height:
            raise DomainError("invalid_state", "the scanner has not been there yet")
        started = await unit.add_rescan(
            Rescan(
                rescan_id=request.rescan_id,
                from_height=request.from_height,
                to_height=request.to_height,
                next_height=request.from_height,
                found=0,
                state="running",
                actor=request.actor,
                reason=request.reason,
                created_at_ms=context.now_ms(),
            )
        )
    if (started.from_height, started.to_height) != (request.from_height, request.to_height):
        raise DomainError("idempotency_conflict", "a re-scan of that id has another range")
    return started


async def rescan_step(context: Context) -> None:
    """The next blocks of the oldest range that is not done; what can't be read now is tried again by the next step."""
    async with context.database.begin() as unit:
        rescan = await unit.next_rescan()
        if rescan is None or await unit.read_halt(context.rules.network) is not None:
            return
    try:
        await _step(context, rescan)
    except MustHalt as why:
        await halt(context, why)
    except NotRead as error:
        log.info("re-scan waits", extra={"rescan_id": rescan.rescan_id, "reason": str(error)})


async def _step(context: Context, rescan: Rescan) -> None:
    first = rescan.next_height
    last = min(rescan.to_height, first + STEP_BLOCKS - 1)
    reads = await read_blocks(context, first, last)
    async with context.database.begin() as unit:
        known = await unit.read_block_ids([first - 1])
    before = BlockRef(height=first - 1, block_id=known[first - 1], time_ms=0) if known else None
    check_links(before, reads)
    # Where the scanner's own blocks are remembered they have to be these.
    await compare_told(context, [Told(read.node, read.block.ref) for read in reads])
    await compare_nodes(context, reads)
    top = reads[-1].block.ref.height
    async with context.database.begin() as unit:
        found = await keep_blocks(context, unit, [read.block for read in reads])
        await unit.move_rescan(rescan.rescan_id, top + 1, found)
    context.poke_outbox()
    if top == rescan.to_height:
        log.info("re-scan done", extra={"rescan_id": rescan.rescan_id, "found": rescan.found + found})
