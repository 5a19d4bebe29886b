"""What the use cases need of the store and the nodes; both are handed in.

Every method of a Unit raises Unavailable where the database can't do it now; then nothing of the transaction has happened.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from tt_common.contracts.deposit_events import AddressAssigned
from tt_common.contracts.deposits import NodeState
from tt_deposits.domain.node_answers import Body, Info
from tt_deposits.domain.records import BlockRef
from tt_deposits.usecases.chain_ports import ChainUnit
from tt_deposits.usecases.desk_ports import DeskUnit


class NodeFailed(Exception):
    """A node gave no usable answer: unreachable, refused, in-band error, unreadable. `code` is a word for metrics."""

    def __init__(self, node: str, code: str, detail: str = "") -> None:
        super().__init__(f"{node}: {code}{f': {detail}' if detail else ''}")
        self.node = node
        self.code = code


class Heads(msgspec.Struct, frozen=True, kw_only=True):
    """The newest that any node has told: what is confirmed how often is reckoned from this. None: nothing was heard yet."""

    head: BlockRef | None
    solid: BlockRef | None


class Node(Protocol):
    """One TRON node. Every method raises NodeFailed."""

    @property
    def name(self) -> str: ...
    async def newest(self, *, solid: bool, timeout_s: float | None = None) -> Body:
        """The head, or the newest solid block. A node that takes longer than `timeout_s` (None: than it is allowed) has failed."""
        ...

    async def body(self, height: int, *, solid: bool, timeout_s: float | None = None) -> Body | None:
        """None where the node has no such block (yet)."""
        ...

    async def infos(self, height: int, *, solid: bool) -> list[Info]:
        """Empty for an empty block, and for one that the node doesn't know well enough."""
        ...

    async def usdt_balance(self, contract: bytes, address: bytes) -> int:
        """balanceOf at the newest solid block, in micro-USDT."""
        ...


class Nodes(Protocol):
    """The configured nodes, the preferred first."""

    def usable(self) -> Sequence[Node]:
        """Best first: those that answer before those that don't, those that keep up before those that lag, then as configured."""
        ...

    def all(self) -> Sequence[Node]: ...

    async def look(self, max_age_s: float) -> None:
        """Ask every node that was not heard for so long. Never raises."""
        ...

    async def heads(self, max_age_s: float = 2.0) -> Heads:
        """From what was heard within `max_age_s`, asking again where nothing was. Never raises."""
        ...

    def states(self) -> tuple[NodeState, ...]:
        """As each was last seen; asks nobody."""
        ...


class StreamState(msgspec.Struct, frozen=True, kw_only=True):
    """`created` names the stream's incarnation, `sequence` its newest message."""

    created: str
    sequence: int


class SaidBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Of the stream ADDRESSES, oldest first; `sequence` is the last of `messages`, among which may be what is no assignment."""

    events: tuple[AddressAssigned, ...]
    messages: int
    sequence: int


class Assignments(Protocol):
    """The stream ADDRESSES. Every method raises Unavailable."""

    async def state(self) -> StreamState: ...
    def read(self, after: int, limit: int) -> AsyncIterator[SaidBatch]:
        """What comes after that sequence, to the end, `limit` at a time."""
        ...

    async def holder(self, index: int) -> AddressAssigned | None:
        """The newest assignment of that index; None where it was never given."""
        ...


class Unit(ChainUnit, DeskUnit, Protocol):
    """One transaction."""


class Database(Protocol):
    """Where transactions come from."""

    def begin(self) -> AbstractAsyncContextManager[Unit]:
        """A transaction, committed at its end unless something was raised."""
        ...

    def snapshot(self) -> AbstractAsyncContextManager[Unit]:
        """A transaction that sees one moment and may take long; for reading."""
        ...
