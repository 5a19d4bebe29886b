"""What one node believes of the chain during one request, its faults considered."""

from collections.abc import Sequence

from tt_sandbox.chain.blocks import Block
from tt_sandbox.chain.faults import Fault, FaultKind
from tt_sandbox.chain.ledger import Ledger, Twist


class View:
    """One node's chain at one moment."""

    def __init__(self, ledger: Ledger, faults: Sequence[Fault], now_ms: int) -> None:
        self.ledger = ledger
        self.head = ledger.head(now_ms)
        self._faults = {fault.kind: fault for fault in faults}
        if (stale := self.fault(FaultKind.HEAD_STALE)) is not None:
            self.head = min(self.head, stale.head)
        if (back := self.fault(FaultKind.HEAD_BACK)) is not None:
            self.head = max(0, self.head - back.asked.blocks)
        self.solid = max(0, self.head - ledger.solid_lag)
        if (stopped := self.fault(FaultKind.SOLID_STOPS)) is not None:
            self.solid = min(self.solid, max(0, stopped.head - ledger.solid_lag))
        fork, twin = self.fault(FaultKind.FORK), self.fault(FaultKind.TWIN)
        self.twist = Twist(
            None if fork is None else fork.asked.height,
            None if twin is None else twin.asked.height,
        )

    def fault(self, kind: FaultKind) -> Fault | None:
        """The fault of that kind, if this request has it; of several the last."""
        return self._faults.get(kind)

    def last(self, solid: bool) -> int:
        """The height that is the last for a request of that kind."""
        return self.solid if solid else self.head

    def block(self, height: int, solid: bool) -> Block | None:
        """None where this node has no such block (yet)."""
        return self.ledger.block(height, self.twist) if 0 <= height <= self.last(solid) else None
