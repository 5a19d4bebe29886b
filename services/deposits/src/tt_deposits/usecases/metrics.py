"""The service's metrics. Labels are the code's own words and the configured names of nodes: never an account or an address.

Gauges of what the database holds are set by `jobs.measure` in every process, so read them with max().
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

RPC_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
MS_PER_S: Final = 1000


class DepositsMetrics:
    """Made once for a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, meaning: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(f"tokentally_deposits_{name}", meaning, labels, registry=registry)

        def counter(name: str, meaning: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"tokentally_deposits_{name}", meaning, labels, registry=registry)

        self.registry = registry
        self.rpc = Histogram(
            "tokentally_deposits_rpc_seconds",
            "RPC requests by their result",
            ["method", "code"],
            buckets=RPC_BOUNDS_S,
            registry=registry,
        )
        self.database_up = gauge("database_up", "1 while the database answers")
        self.nats_connected = gauge("nats_connected", "1 while connected to NATS")
        self.outbox = gauge("outbox_messages", "Messages committed and not yet published")
        self.halted = gauge("halted", "1 while nothing is credited until an operator has looked")
        self.cursor_height = gauge("cursor_height", "The last solid block that is in the database")
        self.cursor_lag = gauge("cursor_lag_blocks", "Solid blocks that are not yet in the database")
        self.solid_age = gauge("solid_age_seconds", "Age of the newest solid block, by the chain's clock")
        self.head_age = gauge("head_age_seconds", "Age of the newest block, by the chain's clock")
        self.blocks = counter("blocks", "Solid blocks committed")
        self.incomplete = counter("incomplete_blocks", "Answers about a block that were not the whole of it", ("node",))
        self.node_failures = counter("node_failures", "Answers of a node that were none", ("node", "code"))
        self.failovers = counter("failovers", "Blocks that another than the preferred node was asked for", ("node",))
        self.deposits = gauge("deposits", "Deposits by state", ("state",))
        self.addresses = gauge(
            "addresses", "Addresses: assigned, spare, skipped, conflict (among the skipped), blacklisted", ("state",)
        )
        self.unbooked_age = gauge(
            "unbooked_age_seconds", "Age of the oldest entry that billing has not booked; 0: none"
        )

        self.asked_again = counter(
            "entries_asked_again", "Entries that billing had not answered and was asked again for"
        )
        self.refused_answers = counter(
            "answers_refused", "Billing's answers that were not to what was asked", ("reason",)
        )
        self.reconciled_at = gauge("reconciled_timestamp_seconds", "When everything was compared last, Unix time")
        self.differences = gauge("reconcile_differences", "What the last reconciliation found different")

    def set_reconciled(self, made_at_ms: int, differences: int) -> None:
        self.reconciled_at.set(made_at_ms / MS_PER_S)
        self.differences.set(differences)

    def observe_rpc(self, method: str, code: str, seconds: float) -> None:
        """One request was answered; `code` is empty where it went well."""
        self.rpc.labels(method, code or "ok").observe(seconds)
