"""Billing's metrics. Labels are the code's own words: never an account, a key or a grant.

Gauges of what the database and the stream hold are set by `jobs.measure`; every process sets them, so read them with max().
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tt_billing.domain.deposits import MOVES

RPC_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
LIVE_STATES: Final = ("open", "closing", "lost")


class BillingMetrics:
    """Made once for a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, meaning: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(f"tokentally_billing_{name}", meaning, labels, registry=registry)

        def counter(name: str, meaning: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"tokentally_billing_{name}", meaning, labels, registry=registry)

        self.registry = registry
        self.rpc = Histogram(
            "tokentally_billing_rpc_seconds",
            "RPC requests by their result",
            ["method", "code"],
            buckets=RPC_BOUNDS_S,
            registry=registry,
        )
        self.recalls = counter("recalls", "Recalls sent to the edges", ("result",))
        for result in ("answered", "incomplete", "unsent"):
            self.recalls.labels(result)
        self.overdrawn = counter("wallets_overdrawn", "Wallets taken below their overdraft")
        self.deposits_booked = counter("deposits_booked", "Entries of deposits that moved money", ("entry",))
        for entry in MOVES:
            self.deposits_booked.labels(entry)
        self.deposits_repeated = counter("deposits_repeated", "Entries asked for again, and answered again")
        self.deposits_early = counter("deposits_early", "Assignments put off until their suspension is booked")
        self.deposits_refused = counter("deposits_refused", "Deposits put in quarantine", ("reason",))
        for reason in ("unreadable", "conflict", "network"):
            self.deposits_refused.labels(reason)
        self.deposits_backlog = gauge("deposits_backlog", "Confirmed deposits in the stream and not booked")
        self.database_up = gauge("database_up", "1 while the database answers")
        self.nats_connected = gauge("nats_connected", "1 while connected to NATS")
        self.grants = gauge("grants", "Grants that are not ended", ("state",))
        self.held_nanousd = gauge("held_nanousd", "Held for grants that are not ended", ("state",))
        self.quarantined = gauge("quarantined_events", "Events that wait for a person")
        self.missing_events = gauge("epochs_with_gaps", "Epochs with an event missing for over a minute")
        self.outbox = gauge("outbox_messages", "Messages committed and not yet published")
        self.clock = gauge(
            "operational_clock_seconds", "The clock that expires grants; it stands while the bus is away"
        )
        self.reconciled_at = gauge("reconciled_timestamp_seconds", "When the last reconciliation ran, Unix time")
        self.differences = gauge("reconcile_differences", "What the last reconciliation found different")
        self.usage_bytes = gauge("usage_stream_bytes", "Size of the stream USAGE")
        self.usage_bytes_max = gauge("usage_stream_bytes_max", "Its limit; beyond it edges' events are refused")

    def observe_rpc(self, method: str, code: str, seconds: float) -> None:
        """One request was answered; `code` is empty where it went well."""
        self.rpc.labels(method, code or "ok").observe(seconds)

    def set_grants(self, counts: dict[str, tuple[int, int]]) -> None:
        """(grants, nanoUSD held) by state; states that are not there have none."""
        for state in LIVE_STATES:
            number, held = counts.get(state, (0, 0))
            self.grants.labels(state).set(number)
            self.held_nanousd.labels(state).set(held)
