"""The console API's metrics. Labels are route templates and the code's own words: never an account or a key."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REQUEST_BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
UNMATCHED: Final = "none"


class ConsoleMetrics:
    """Made once for a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._requests = Histogram(
            "tokentally_console_http_request_seconds",
            "HTTP requests by route and status",
            ["method", "route", "status"],
            buckets=REQUEST_BOUNDS_S,
            registry=registry,
        )
        self.outbox = Gauge(
            "tokentally_console_outbox_messages", "Messages committed, not published", registry=registry
        )
        self.database_up = Gauge("tokentally_console_database_up", "1 while the database answers", registry=registry)
        self.nats_connected = Gauge("tokentally_console_nats_connected", "1 while connected to NATS", registry=registry)
        self.webhook_attempts = Counter(
            "tokentally_console_webhook_attempts",
            "Attempts to deliver a webhook: delivered, retried (to be tried again), failed (for good)",
            ["outcome"],
            registry=registry,
        )
        self.event_streams = Gauge("tokentally_console_event_streams", "Open streams of live events", registry=registry)

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request was answered; `route` is the template, empty where none matched."""
        known = method if method in METHODS else "other"
        self._requests.labels(known, route or UNMATCHED, str(status)).observe(seconds)
