"""What every use case is handed: the database, the nodes, the rules, the clock, and how to say that an outbox row is waiting."""

from collections.abc import Callable
from dataclasses import dataclass

from tt_common.crash_points import CrashCheck
from tt_deposits.domain.derivation import AccountKey
from tt_deposits.domain.records import Rules
from tt_deposits.usecases.metrics import DepositsMetrics
from tt_deposits.usecases.ports import Database, Nodes
from tt_deposits.usecases.progress import Progress


@dataclass(frozen=True)
class Watch:
    """What the scanner looks at, and when it is late."""

    contract: bytes
    """The 20 bytes of the USDT contract."""
    start_height: int | None
    """First block on a new database; None: the solid head of that moment."""
    spare_addresses: int
    solid_lag_max_s: float
    poll_s: float
    check_root: bool
    """Compare the transactions with the root in the header."""


@dataclass(frozen=True)
class Context:
    """One process's deposits. `now_ms` never goes back within the process."""

    database: Database
    nodes: Nodes
    key: AccountKey
    rules: Rules
    watch: Watch
    now_ms: Callable[[], int]
    poke_outbox: Callable[[], None]
    crash: CrashCheck
    metrics: DepositsMetrics
    progress: Progress
