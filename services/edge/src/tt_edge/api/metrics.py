"""What Prometheus gets to know of a worker: the tallies of its calls, and how full its parts are at the moment it asks.

Costs nothing between two questions. Labels: models and providers of the catalog, and the code's own words.
"""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tt_edge.usecases.gateway import Gateway
from tt_edge.usecases.tally_calls import CallTallies

CALL_LABELS = ("model", "provider", "endpoint", "outcome")


class EdgeCollector(Collector):
    """Asks `gateway` for the gateway; before there is one (and after), there are only `tokentally_edge_serving` 0 and what
    doesn't need it.
    """

    def __init__(self, gateway: Callable[[], Gateway | None], connected: Callable[[], bool]) -> None:
        self._gateway = gateway
        self._connected = connected

    def collect(self) -> Iterator[Metric]:
        """Every family, with its values of now."""
        gateway = self._gateway()
        yield _gauge(
            "worker_up", "1 where the worker answers; 0 where another one of its group says that it doesn't", 1
        )
        yield _gauge("serving", "1 while calls are taken", int(gateway is not None))
        yield _gauge("nats_connected", "1 while connected to NATS", int(self._connected()))
        if gateway is not None:
            yield from _calls(gateway.tallies)
            yield from _usage(gateway.tallies)
            yield from _credit(gateway)
            yield from _journal(gateway)
            yield from _catalog(gateway)
            yield from _routes(gateway)


def _calls(tallies: CallTallies) -> Iterator[Metric]:
    calls = CounterMetricFamily("tokentally_edge_calls", "Calls that were admitted", labels=CALL_LABELS)
    duration = HistogramMetricFamily("tokentally_edge_call_seconds", "From admission to settlement", labels=CALL_LABELS)
    for labels, kind in tallies.kinds.items():
        calls.add_metric(labels, kind.calls)
        kind.duration.add_to(duration, labels)
    overhead = HistogramMetricFamily("tokentally_edge_overhead_seconds", "What the gateway itself added to a call")
    tallies.overhead.add_to(overhead)
    rejections = CounterMetricFamily("tokentally_edge_rejections", "Calls refused before a provider", labels=["code"])
    for code, count in tallies.rejections.items():
        rejections.add_metric([code], count)
    attempts = CounterMetricFamily(
        "tokentally_edge_failed_attempts", "Attempts given up before the first byte", labels=["provider", "error"]
    )
    for attempt, count in tallies.failed_attempts.items():
        attempts.add_metric(attempt, count)
    yield from (calls, duration, overhead, rejections, attempts)


def _usage(tallies: CallTallies) -> Iterator[Metric]:
    first_byte = HistogramMetricFamily(
        "tokentally_edge_first_byte_seconds", "From admission to the provider's first byte", labels=["model"]
    )
    used = CounterMetricFamily("tokentally_edge_usage", "Tokens and images, by class", labels=["model", "class"])
    cost = CounterMetricFamily("tokentally_edge_cost_nanousd", "What calls cost, in nanoUSD", labels=["model"])
    estimated = CounterMetricFamily(
        "tokentally_edge_estimated_calls", "Calls whose provider gave no usage figure", labels=["model"]
    )
    for name, model in tallies.models.items():
        model.first_byte.add_to(first_byte, [name])
        cost.add_metric([name], model.cost_nanousd)
        estimated.add_metric([name], model.estimated)
        for quantity, count in model.used.items():
            used.add_metric([name, quantity], count)
    yield from (first_byte, used, cost, estimated)


def _credit(gateway: Gateway) -> Iterator[Metric]:
    credit = gateway.credit
    yield _gauge("open_grants", "Grants in hand", credit.open_grants)
    yield _gauge("open_holds", "Calls that hold credit", credit.open_holds)
    yield _gauge("reserved_nanousd", "What they hold together", credit.reserved_nanousd)
    waits = HistogramMetricFamily("tokentally_edge_grant_wait_seconds", "What calls waited for a grant")
    credit.waits.add_to(waits)
    yield waits


def _journal(gateway: Gateway) -> Iterator[Metric]:
    journal = gateway.journal
    yield _gauge("journal_depth", "Events that billing has not confirmed", journal.depth)
    yield _gauge("journal_open_calls", "Calls started and not settled", journal.open_calls)
    yield _gauge("unsettled_nanousd", "The cost of unconfirmed events", journal.unsettled_nanousd)
    yield _gauge("unsettled_nanousd_max", "Above it no call is admitted", gateway.limits.unsettled_nanousd_max)
    yield _gauge("publisher_pending", "Events the broker has not acknowledged", gateway.publisher.pending)


def _catalog(gateway: Gateway) -> Iterator[Metric]:
    age = GaugeMetricFamily("tokentally_edge_mirror_age_seconds", "Since a bucket was read whole", labels=["bucket"])
    alarms = CounterMetricFamily(
        "tokentally_edge_mirror_alarms", "Records or buckets that can't be right", labels=["bucket"]
    )
    for bucket, mirror in (("keys", gateway.keys.mirror), ("catalog", gateway.catalog.mirror)):
        age.add_metric([bucket], mirror.age_s)
        alarms.add_metric([bucket], mirror.alarms)
    yield from (age, alarms)


def _routes(gateway: Gateway) -> Iterator[Metric]:
    cooling = GaugeMetricFamily(
        "tokentally_edge_route_cooling", "1 while the breaker is open", labels=["provider", "upstream_model"]
    )
    for route, cools in gateway.routes.cooling().items():
        cooling.add_metric(route, int(cools))
    usable = GaugeMetricFamily("tokentally_edge_usable_routes", "Routes that may be tried now", labels=["model"])
    providers = gateway.catalog.providers
    for model in gateway.catalog.models.values():
        if model.status == "active":
            plan = gateway.routes.plan(model, providers)
            usable.add_metric([model.id], sum(gateway.upstream.configured(providers[r.provider]) for r in plan))
    yield from (cooling, usable)


def _gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"tokentally_edge_{name}", meaning, value=value)
