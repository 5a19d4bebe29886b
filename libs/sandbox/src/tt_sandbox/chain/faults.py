"""What is wrong with a node: switches that are set by node and kind, for so many requests or seconds, and taken back.

A fault touches only requests of its methods and, if it names a height, only those about that block.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from tt_common.clock import monotonic_s
from tt_sandbox.chain.scripts import Strict
from tt_sandbox.chain.usdt import UINT256_MAX

FAULTS_MAX: Final = 1_000
DELAY_S_MAX: Final = 600.0
ALL_NODES: Final = "*"


class FaultKind(StrEnum):
    """See docs/sandbox-chain.md."""

    ABSENT = "absent"
    TRANSACTIONS_MISSING = "transactions_missing"
    PARENT_WRONG = "parent_wrong"
    INFOS_EMPTY = "infos_empty"
    INFOS_MISSING = "infos_missing"
    INFOS_OTHER_BLOCK = "infos_other_block"
    LOGS_MISSING = "logs_missing"
    ERROR = "error"
    LITE = "lite"
    STATUS = "status"
    SLOW = "slow"
    CUT = "cut"
    NOT_JSON = "not_json"
    HEAD_STALE = "head_stale"
    HEAD_BACK = "head_back"
    SOLID_STOPS = "solid_stops"
    FORK = "fork"
    TWIN = "twin"
    BALANCE_WRONG = "balance_wrong"
    BALANCE_ABSENT = "balance_absent"


BLOCK: Final = ("getnowblock", "getblockbynum")
INFOS: Final = ("gettransactioninfobyblocknum",)
INFO: Final = ("gettransactioninfobyid",)
BALANCE: Final = ("triggerconstantcontract",)
METHODS: Final = {*BLOCK, *INFOS, *INFO, *BALANCE, "getaccount", "getchainparameters", "eth_blockNumber", "eth_getLogs"}

# Kinds that are not here concern every method.
_METHODS: Final = {
    FaultKind.ABSENT: (*BLOCK, *INFO),
    FaultKind.TRANSACTIONS_MISSING: BLOCK,
    FaultKind.PARENT_WRONG: BLOCK,
    FaultKind.INFOS_EMPTY: INFOS,
    FaultKind.INFOS_MISSING: INFOS,
    FaultKind.INFOS_OTHER_BLOCK: INFOS,
    FaultKind.LOGS_MISSING: (*INFOS, *INFO, "eth_getLogs"),
    FaultKind.BALANCE_WRONG: BALANCE,
    FaultKind.BALANCE_ABSENT: BALANCE,
}
# For these `height` says from where on the node differs.
FROM_HEIGHT: Final = frozenset({FaultKind.FORK, FaultKind.TWIN})


class FaultAsked(Strict):
    """One fault of one node, or of all with `"*"`."""

    node: str
    kind: FaultKind
    count: int | None = Field(default=None, gt=0)
    seconds: float | None = Field(default=None, gt=0)
    height: int | None = Field(default=None, ge=0)
    methods: tuple[str, ...] | None = None
    status: int = Field(default=503, ge=400, le=599)
    retry_after_s: int | None = Field(default=None, ge=0)
    delay_s: float = Field(default=5.0, gt=0, le=DELAY_S_MAX)
    blocks: int = Field(default=5, gt=0)
    index: int | None = Field(default=None, ge=0)
    message: str | None = None
    add_micro_usdt: Annotated[int, Field(ge=-UINT256_MAX, le=UINT256_MAX)] = 1

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.kind in FROM_HEIGHT and self.height is None:
            raise ValueError(f"{self.kind} needs `height`")
        unknown = set(self.methods or ()) - METHODS
        if unknown:
            raise ValueError(f"no such method: {', '.join(sorted(unknown))}")
        return self


@dataclass(slots=True)
class Fault:
    """A fault that is set."""

    asked: FaultAsked
    head: int
    """The chain's head when it was set: where a stale node stands still."""
    left: int | None
    until_s: float | None

    @property
    def kind(self) -> FaultKind:
        return self.asked.kind

    def concerns(self, node: str, method: str, height: int | None) -> bool:
        """Whether it touches a request about a block (None: about no certain one)."""
        asked = self.asked
        return (
            asked.node in (node, ALL_NODES)
            and method in (asked.methods or _METHODS.get(asked.kind, METHODS))
            and (asked.height is None or asked.kind in FROM_HEIGHT or asked.height == height)
        )


class FaultBoard:
    """All faults of all nodes."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def set(self, asked: FaultAsked, head: int) -> None:
        """Adds a fault to those that are there. Raises ValueError beyond FAULTS_MAX."""
        self._drop_spent()
        if len(self._faults) >= FAULTS_MAX:
            raise ValueError(f"{FAULTS_MAX} faults are enough")
        until_s = None if asked.seconds is None else monotonic_s() + asked.seconds
        self._faults.append(Fault(asked, head, asked.count, until_s))

    def clear(self, node: str | None = None, kind: str | None = None) -> None:
        """Takes back those of a node, of a kind, or all."""
        self._faults = [
            fault
            for fault in self._faults
            if (node is not None and fault.asked.node != node) or (kind is not None and fault.kind != kind)
        ]

    def take(self, node: str, method: str, height: int | None) -> list[Fault]:
        """The faults of one request; each counts it."""
        if not self._faults:
            return []
        self._drop_spent()
        taken = [fault for fault in self._faults if fault.concerns(node, method, height)]
        for fault in taken:
            if fault.left is not None:
                fault.left -= 1
        return taken

    def as_json(self) -> list[dict[str, object]]:
        """What is set, with what is left of it."""
        self._drop_spent()
        return [
            {**fault.asked.model_dump(mode="json", by_alias=True, exclude_defaults=True), "left": fault.left}
            for fault in self._faults
        ]

    def _drop_spent(self) -> None:
        now_s = monotonic_s()
        self._faults = [
            fault for fault in self._faults if fault.left != 0 and (fault.until_s is None or now_s < fault.until_s)
        ]
