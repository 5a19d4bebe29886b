"""Whole blocks from nodes: what is incomplete is asked for again, then of another node, and never taken for empty."""

import asyncio
import logging
from typing import Final, NamedTuple

from tt_deposits.domain.blocks import Block, Incomplete, whole_block
from tt_deposits.domain.node_answers import Body
from tt_deposits.usecases.all_ended import both_ended
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.ports import Node, NodeFailed

log = logging.getLogger(__name__)

TRIES_A_NODE: Final = 2
RETRY_S: Final = 0.2
IN_FLIGHT_MAX: Final = 6


class NotRead(Exception):
    """No node told the whole of a block now."""


class Read(NamedTuple):
    """A whole block, and who told it."""

    block: Block
    node: str


async def read_blocks(
    context: Context, first: int, last: int, teller: str = "", newest: Body | None = None
) -> list[Read]:
    """Solid blocks from `first` on, as far as they could be read without a gap. Raises NotRead where not even the first could.

    `teller`: the node that is known to have them, asked first; `newest`: the body that it has just told, which may be one of them.
    """
    slots = asyncio.Semaphore(IN_FLIGHT_MAX)

    async def one(height: int) -> Read:
        async with slots:
            return await read_block(context, height, teller, newest if newest and newest.height == height else None)

    heights = range(first, last + 1)
    results = await asyncio.gather(*(one(height) for height in heights), return_exceptions=True)
    found: list[Read] = []
    for result in results:
        if isinstance(result, BaseException):
            if not isinstance(result, NotRead) or not found:
                raise result
            break
        found.append(result)
    return found


async def read_block(context: Context, height: int, teller: str = "", body: Body | None = None) -> Read:
    """One solid block, from the first node that tells the whole of it. Raises NotRead."""
    reason = "every node is left alone for a while"
    preferred = context.nodes.all()[0]
    for node in sorted(context.nodes.usable(), key=lambda node: node.name != teller):
        if node.name != teller:
            body = None
        if node is not preferred:
            context.metrics.failovers.labels(node.name).inc()
        for attempt in range(TRIES_A_NODE):
            try:
                return Read(await from_node(context, node, height, solid=True, body=body), node.name)
            except NodeFailed as error:
                reason, body = str(error), None
                break
            except Incomplete as error:
                # The body of before may be what lacks something.
                reason, body = f"{node.name}: {error}", None
                context.metrics.incomplete.labels(node.name).inc()
                log.warning("a block is incomplete", extra={"node": node.name, "height": height, "reason": str(error)})
            if attempt + 1 < TRIES_A_NODE:
                await asyncio.sleep(RETRY_S)
    raise NotRead(f"block {height}: {reason}")


async def from_node(context: Context, node: Node, height: int, *, solid: bool, body: Body | None = None) -> Block:
    """As that node tells it, proven whole. Raises NodeFailed and Incomplete."""
    told: Body | None
    if body is not None:
        told, infos = body, await node.infos(height, solid=solid)
    else:
        told, infos = await both_ended(node.body(height, solid=solid), node.infos(height, solid=solid))
    return whole_block(height, told, infos, context.watch.contract, check_root=context.watch.check_root)
