"""Distributions are what Prometheus expects of a histogram."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import HistogramMetricFamily, Metric

from tt_common.telemetry.tallies import Distribution

BOUNDS = (0.1, 0.5, 2.5)


class _One:
    def __init__(self, distribution: Distribution) -> None:
        self.distribution = distribution

    def collect(self) -> list[Metric]:
        family = HistogramMetricFamily("seconds", "a", labels=["model"])
        self.distribution.add_to(family, ["m"])
        return [family]


@given(st.lists(st.one_of(st.floats(0, 10), st.sampled_from(BOUNDS)), max_size=30))
def test_a_distribution_reads_like_a_histogram_of_prometheus_client(values: list[float]) -> None:
    mine, theirs = CollectorRegistry(), CollectorRegistry()
    distribution = Distribution(BOUNDS)
    mine.register(_One(distribution))  # pyright: ignore[reportArgumentType]
    histogram = Histogram("seconds", "a", ["model"], buckets=BOUNDS, registry=theirs).labels("m")

    for value in values:
        distribution.observe(value)
        histogram.observe(value)

    expected = [line for line in generate_latest(theirs).decode().splitlines() if "_created" not in line]
    assert generate_latest(mine).decode().splitlines() == expected
    assert distribution.count == len(values)
