"""The configured nodes together: which to ask first, and the newest that any has told.

Order: nodes that answer, then those that keep up, then as configured. A node lags only while another is ahead of it, so a chain that
stands still moves nobody.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from tt_common.clock import monotonic_s
from tt_common.contracts.deposits import NodeState
from tt_deposits.clients.nodes import TronNode
from tt_deposits.domain.records import BlockRef
from tt_deposits.usecases.all_ended import all_ended, both_ended
from tt_deposits.usecases.ports import Heads, NodeFailed

HEAD_AGE_MAX_S: Final = 30.0
LOOK_S_MAX: Final = 3.0
"""A node that takes longer to tell its newest block has failed."""
MS_PER_S: Final = 1000


class NodePool:
    """See usecases.ports.Nodes. `close` when done."""

    def __init__(self, nodes: Sequence[TronNode], solid_lag_max_s: float, now_ms: Callable[[], int]) -> None:
        self._nodes = tuple(nodes)
        self._solid_lag_max_s = solid_lag_max_s
        self._now_ms = now_ms
        self._looking = asyncio.Lock()

    def usable(self) -> Sequence[TronNode]:
        return sorted((node for node in self._nodes if not node.quiet), key=self._lags)

    def all(self) -> Sequence[TronNode]:
        return self._nodes

    async def heads(self, max_age_s: float = 2.0) -> Heads:
        if not any(self._fresh(node, max_age_s) for node in self._nodes):
            await self.look(max_age_s)
        return Heads(
            head=max((node.head for node in self._nodes if node.head), key=_height, default=None),
            solid=max((node.solid for node in self._nodes if node.solid), key=_height, default=None),
        )

    async def look(self, max_age_s: float) -> None:
        """Ask every node that was not heard for so long. Never raises; a slow one is not waited for long."""
        async with self._looking:
            asked = [self._ask(node) for node in self._nodes if not node.quiet and not self._fresh(node, max_age_s)]
            await all_ended(asked)

    def states(self) -> tuple[NodeState, ...]:
        return tuple(node.state for node in self._nodes)

    async def close(self) -> None:
        for node in self._nodes:
            await node.close()

    async def _ask(self, node: TronNode) -> None:
        try:
            await both_ended(
                node.newest(solid=True, timeout_s=LOOK_S_MAX), node.newest(solid=False, timeout_s=LOOK_S_MAX)
            )
        except NodeFailed:
            return  # counted and kept by the node itself

    def _fresh(self, node: TronNode, max_age_s: float) -> bool:
        return monotonic_s() - min(node.head_heard_s, node.solid_heard_s) <= max_age_s

    def _lags(self, node: TronNode) -> bool:
        if self._age_s(node.solid) <= self._solid_lag_max_s and self._age_s(node.head) <= HEAD_AGE_MAX_S:
            return False
        return any(_ahead(other.solid, node.solid) or _ahead(other.head, node.head) for other in self._nodes)

    def _age_s(self, block: BlockRef | None) -> float:
        return 0.0 if block is None else (self._now_ms() - block.time_ms) / MS_PER_S


def _height(block: BlockRef) -> int:
    return block.height


def _ahead(one: BlockRef | None, other: BlockRef | None) -> bool:
    return one is not None and other is not None and one.height > other.height
