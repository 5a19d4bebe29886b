"""What every use case is handed: the database, billing's clock, and how to say that an outbox row is waiting."""

from collections.abc import Callable
from dataclasses import dataclass

from tt_billing.domain.grants import GrantTerms
from tt_billing.usecases.metrics import BillingMetrics
from tt_billing.usecases.ports import Database
from tt_common.clock import monotonic_s, now_ms
from tt_common.crash_points import CrashCheck


@dataclass(frozen=True)
class Context:
    """One process's billing. `now_ms` never goes back within the process."""

    database: Database
    terms: GrantTerms
    deposits_network: str
    """The only one whose deposits are money."""
    now_ms: Callable[[], int]
    poke_outbox: Callable[[], None]
    crash: CrashCheck
    metrics: BillingMetrics


def steady_clock() -> Callable[[], int]:
    """Unix milliseconds that start at the wall clock and advance without jumps."""
    started_ms, started_s = now_ms(), monotonic_s()
    return lambda: started_ms + int((monotonic_s() - started_s) * 1000)
