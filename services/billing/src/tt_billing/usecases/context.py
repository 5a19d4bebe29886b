"""What every use case is handed: the database, billing's clock, and how to say that an outbox row is waiting."""

from collections.abc import Callable
from dataclasses import dataclass

from tt_billing.domain.grants import GrantTerms
from tt_billing.usecases.metrics import BillingMetrics
from tt_billing.usecases.ports import Database
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
