"""Nodes must tell the same solid chain. They are compared at the highest block that both have: its id holds all that is below it.

Where they don't, nothing is credited until a person has looked; there is no vote.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from tt_deposits.domain.blocks import Block, Incomplete, ref_of
from tt_deposits.domain.records import BlockRef
from tt_deposits.usecases.all_ended import all_ended
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.halt import MustHalt
from tt_deposits.usecases.ports import Node, NodeFailed
from tt_deposits.usecases.read_blocks import Read

WAIT_S: Final = 3.0
"""A node that takes longer does not answer, and is not waited for."""


class Told(NamedTuple):
    """A solid block as a node names it."""

    node: str
    block: BlockRef


def check_links(before: BlockRef | None, reads: Iterable[Read]) -> None:
    """Each block names the one before it as its parent. Raises MustHalt: solid history doesn't change."""
    for read in reads:
        block = read.block
        if before is not None and block.parent_id != before.block_id:
            raise MustHalt(
                "parent_mismatch",
                block.ref.height,
                node=read.node,
                parent=block.parent_id.hex(),
                known=before.block_id.hex(),
            )
        before = block.ref


async def compare_nodes(context: Context, reads: Sequence[Read]) -> None:
    """Linked blocks that are about to be committed, against every other node that answers. Raises MustHalt."""
    top = reads[-1]
    others = [node for node in context.nodes.all() if node.name != top.node]
    answers = await all_ended(_told(node, top.block.ref.height) for node in others)
    told = [answer for answer in answers if answer is not None]
    await compare_told(context, told, [read.block for read in reads])


async def compare_told(context: Context, told: Sequence[Told], blocks: Sequence[Block] = ()) -> None:
    """What nodes told, against `blocks` and what was committed. What is not remembered any more is not compared. Raises MustHalt."""
    known = {block.ref.height: block.ref.block_id for block in blocks}
    if missing := {one.block.height for one in told} - known.keys():
        async with context.database.begin() as unit:
            known |= await unit.read_block_ids(missing)
    for one in told:
        ours = known.get(one.block.height)
        if ours is not None and ours != one.block.block_id:
            raise MustHalt(
                "nodes_disagree",
                one.block.height,
                node=one.node,
                told=one.block.block_id.hex(),
                known=ours.hex(),
            )


async def _told(node: Node, height: int) -> Told | None:
    """The highest solid block up to `height` that the node tells; None where it doesn't answer."""
    try:
        body = await node.newest(solid=True, timeout_s=WAIT_S)
        if body.height > height:
            body = await node.body(height, solid=True, timeout_s=WAIT_S)
    except NodeFailed:
        return None
    try:
        return None if body is None else Told(node.name, ref_of(body, min(body.height, height)))
    except Incomplete:
        return None
