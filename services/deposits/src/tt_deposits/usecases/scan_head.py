"""Blocks that are not solid yet, for display alone: what is seen here may vanish, and moves no money.

A block that took another's place is read anew. After a restart all that is not solid is read again; noticing twice changes nothing.
"""

import logging
from typing import Final

from tt_deposits.domain.blocks import Block, Incomplete
from tt_deposits.domain.node_answers import Body
from tt_deposits.usecases.accept_deposit import notice
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.ports import Node, NodeFailed
from tt_deposits.usecases.read_blocks import from_node

log = logging.getLogger(__name__)

DEPTH_MAX: Final = 100
"""Where nothing becomes solid for long, only the newest are shown."""


class ScanHead:
    """One scanner's; call `step` again and again while leading."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._seen: dict[int, str] = {}
        """Block ids by height, of what was read completely."""

    async def step(self) -> None:
        """Notices what new blocks have for us. A node that doesn't tell them now is asked again by the next step."""
        context = self._context
        async with context.database.begin() as unit:
            cursor = await unit.read_cursor(context.rules.network)
        nodes = context.nodes.usable()
        if cursor is None or not nodes:
            return
        try:
            head = await nodes[0].newest(solid=False)
            floor = max(cursor.block.height, head.height - DEPTH_MAX)
            self._seen = {height: seen for height, seen in self._seen.items() if height > floor}
            for body in await self._new_bodies(nodes[0], head, floor):
                block = await from_node(context, nodes[0], body.height, solid=False, body=body)
                await self._notice(block)
                self._seen[body.height] = body.block_id
        except (NodeFailed, Incomplete) as error:
            log.info("the head is not shown", extra={"reason": str(error)})

    async def _new_bodies(self, node: Node, head: Body, floor: int) -> list[Body]:
        """From the head down to a block that was seen, in the order of their heights. Raises NodeFailed and Incomplete."""
        found: list[Body] = []
        body = head
        while body.height > floor and self._seen.get(body.height) != body.block_id:
            found.append(body)
            parent = body.height - 1
            if parent <= floor or self._seen.get(parent) == body.header.raw_data.parent_hash:
                break
            told = await node.body(parent, solid=False)
            if told is None or told.block_id != body.header.raw_data.parent_hash:
                raise Incomplete("the head changed while it was read")
            body = told
        return found[::-1]

    async def _notice(self, block: Block) -> None:
        context = self._context
        recipients = {transfer.recipient for transfer in block.transfers}
        if not recipients:
            return
        async with context.database.begin() as unit:
            ours = await unit.lock_addresses(recipients)
            arrivals = [
                (transfer, ours[transfer.recipient]) for transfer in block.transfers if transfer.recipient in ours
            ]
            if arrivals:
                await notice(unit, context.rules, block.ref, arrivals, context.now_ms())
        if arrivals:
            context.poke_outbox()
