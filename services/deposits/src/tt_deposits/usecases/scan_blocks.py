"""Solid blocks, one after the other: read, proven, compared, and committed with the cursor in one transaction.

Invariants: the cursor moves forward only, over every height, and to a block whose parent it stood on; nothing moves while there is a
halt. What the next blocks hold is read while these are committed.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tt_deposits.domain.blocks import DEPRECATE, Incomplete, ref_of
from tt_deposits.domain.node_answers import Body
from tt_deposits.domain.records import BlockRef, Cursor
from tt_deposits.usecases.accept_deposit import orphan
from tt_deposits.usecases.compare_nodes import Told, check_links, compare_nodes, compare_told
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.halt import MustHalt, halt
from tt_deposits.usecases.keep_blocks import keep_blocks
from tt_deposits.usecases.ports import NodeFailed
from tt_deposits.usecases.read_blocks import NotRead, Read, read_blocks

log = logging.getLogger(__name__)

BATCH_MAX: Final = 20
LOOK_EVERY_S: Final = 10.0
BLOCKS_KEPT: Final = 50_000
"""A day and three quarters of TRON."""


@dataclass
class _Ahead:
    first: int
    last: int
    task: asyncio.Task[list[Read]]


class ScanBlocks:
    """One scanner's; call `step` again and again while leading, `stop` when not any more."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._ahead: _Ahead | None = None

    async def step(self) -> bool:
        """Commits the next blocks, up to BATCH_MAX. True where more are waiting. What can't be done now is tried again by the next."""
        context = self._context
        async with context.database.begin() as unit:
            cursor = await unit.read_cursor(context.rules.network)
            halted = await unit.read_halt(context.rules.network)
        context.metrics.halted.set(int(halted is not None))
        if halted is not None:
            await self.stop()
            return False
        try:
            return await self._start() if cursor is None else await self._advance(cursor)
        except MustHalt as why:
            await self.stop()
            await halt(context, why)
        except (NodeFailed, NotRead) as error:
            log.info("no new block", extra={"reason": str(error)})
        return False

    async def stop(self) -> None:
        """Forget what was read ahead."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.task.cancel()
            await asyncio.gather(ahead.task, return_exceptions=True)

    async def _start(self) -> bool:
        """The cursor is put before the first block to scan; that block's id is the other nodes' too."""
        context = self._context
        name, newest = await self._newest(0)
        wanted = context.watch.start_height
        height = newest.height if wanted is None else max(0, wanted - 1)
        if height > newest.height:
            raise NotRead(f"the scan starts at {wanted}, the newest solid block is {newest.height}")
        reads = await read_blocks(context, height, height, name, newest)
        await compare_nodes(context, reads)
        async with context.database.begin() as unit:
            await unit.start_cursor(context.rules.network, reads[0].block.ref, context.now_ms())
            await unit.add_blocks([reads[0].block.ref])
        log.info("scan starts", extra={"after": height, "node": name})
        return True

    async def _advance(self, cursor: Cursor) -> bool:
        context = self._context
        name, newest = await self._newest(cursor.block.height)
        first, target = cursor.block.height + 1, newest.height
        context.metrics.cursor_lag.set(max(0, target - cursor.block.height))
        if target < first:
            await context.nodes.look(LOOK_EVERY_S)
            return False
        last = min(target, cursor.block.height + BATCH_MAX)
        reads = await self._read(first, last, name, newest)
        if len(reads) == last + 1 - first:
            self._read_ahead(last + 1, min(target, last + BATCH_MAX), name)
        check_links(cursor.block, reads)
        reads = _up_to_a_new_contract(reads)
        await compare_nodes(context, reads)
        context.crash("block_read")
        await self._commit(cursor, reads)
        return reads[-1].block.ref.height < target

    async def _newest(self, height: int) -> tuple[str, Body]:
        """Of the best node that answers and is not below `height`; else of any. Raises NodeFailed, NotRead and MustHalt.

        A node that is not above has to tell what we have committed there; we never go back.
        """
        failed: Exception = NotRead("every node is left alone for a while")
        behind: tuple[str, Body] | None = None
        for node in self._context.nodes.usable():
            try:
                newest = await node.newest(solid=True)
            except NodeFailed as error:
                failed = error
                continue
            if newest.height <= height:
                await compare_told(self._context, [Told(node.name, _ref(node.name, newest))])
            if newest.height >= height:
                return node.name, newest
            behind = behind or (node.name, newest)
        if behind is None:
            raise failed
        return behind

    async def _read(self, first: int, last: int, teller: str, newest: Body) -> list[Read]:
        ahead, self._ahead = self._ahead, None
        if ahead is not None and (ahead.first, ahead.last) == (first, last):
            return await ahead.task
        if ahead is not None:
            ahead.task.cancel()
            await asyncio.gather(ahead.task, return_exceptions=True)
        return await read_blocks(self._context, first, last, teller, newest)

    def _read_ahead(self, first: int, last: int, teller: str) -> None:
        if first <= last:
            self._ahead = _Ahead(first, last, asyncio.create_task(read_blocks(self._context, first, last, teller)))

    async def _commit(self, cursor: Cursor, reads: Sequence[Read]) -> None:
        context, network = self._context, self._context.rules.network
        blocks = [read.block for read in reads]
        top = blocks[-1].ref
        async with context.database.begin() as unit:
            held = await unit.lock_cursor(network)
            if held is None or held.block != cursor.block:
                raise NotRead("another scanner was here")
            # After the cursor is locked: an address that was added before is seen, one added later starts from this cursor.
            await keep_blocks(context, unit, blocks)
            await orphan(unit, context.rules, top.height, context.now_ms())
            await unit.add_blocks([block.ref for block in blocks])
            await unit.prune_blocks(top.height - BLOCKS_KEPT)
            await unit.move_cursor(network, top, context.now_ms())
            context.crash("before_block_commit")
        context.crash("after_block_commit")
        context.poke_outbox()
        context.metrics.blocks.inc(len(blocks))
        context.metrics.cursor_height.set(top.height)


def _up_to_a_new_contract(reads: list[Read]) -> list[Read]:
    """Not beyond a block in which the contract is replaced: what comes after it is another contract's."""
    for position, read in enumerate(reads):
        if any(event.kind == DEPRECATE for event in read.block.events):
            return reads[: position + 1]
    return reads


def _ref(node: str, body: Body) -> BlockRef:
    try:
        return ref_of(body, body.height)
    except Incomplete as error:
        raise NodeFailed(node, "unreadable", str(error)) from None
