"""What the workers of a group tell each other, and what they make of it together."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tt_edge.workers import siblings
from tt_edge.workers.exposition import UP, merged
from tt_edge.workers.siblings import Siblings


def _text(calls: int, seconds: float) -> bytes:
    """One worker's metrics: families with labels, without, and with several samples."""
    registry = CollectorRegistry()
    Gauge(UP.decode(), "Answers", registry=registry).set(1)
    counter = Counter("calls", 'Calls {by "model"}', ["model"], registry=registry)
    counter.labels('odd"} 7\nname').inc(calls)
    Histogram("wait_seconds", "Waits", registry=registry, buckets=[1.0]).observe(seconds)
    return generate_latest(registry)


def test_each_worker_keeps_its_own_samples_and_each_family_stays_in_one_piece() -> None:
    text = merged({0: _text(3, 0.5), 2: _text(4, 2.0)}, 3).decode()

    families = list(text_string_to_metric_families(text))
    samples = {
        (sample.name, sample.labels.get("worker"), sample.labels.get("le")): sample.value
        for family in families
        for sample in family.samples
    }
    assert len({family.name for family in families}) == len(families)
    assert (samples["calls_total", "0", None], samples["calls_total", "2", None]) == (3, 4)
    assert (samples["wait_seconds_bucket", "0", "1.0"], samples["wait_seconds_bucket", "2", "1.0"]) == (1, 0)
    assert (samples["wait_seconds_sum", "0", None], samples["wait_seconds_sum", "2", None]) == (0.5, 2.0)
    up = {worker: value for (name, worker, _), value in samples.items() if name == UP.decode()}
    assert up == {"0": 1, "1": 0, "2": 1}
    assert all(worker is not None for _, worker, _ in samples)


async def _says(answer: bytes) -> bytes:
    return answer


async def _never() -> bytes:
    await asyncio.Event().wait()
    return b""


Join = Callable[[int, Callable[[], Awaitable[bytes]]], Awaitable[Siblings]]


@pytest.fixture
async def join(tmp_path: Path) -> AsyncIterator[Join]:
    """Adds a worker to a group of three, by its place and its readiness."""
    joined: list[Siblings] = []

    async def join(index: int, ready: Callable[[], Awaitable[bytes]]) -> Siblings:
        worker = Siblings(index, 3, tmp_path, {"ready": ready, "metrics": lambda: _says(_text(index, 0.5))})
        await worker.start()
        joined.append(worker)
        return worker

    yield join
    for worker in joined:
        worker.stop()


async def test_a_group_is_ready_when_every_worker_that_serves_is(join: Join) -> None:
    first = await join(0, lambda: _says(b""))
    await join(1, lambda: _says(b""))

    assert await first.check_ready() is None  # the third takes no calls: it isn't there


async def test_a_group_is_not_ready_while_one_of_those_that_serve_is_not(join: Join) -> None:
    first = await join(0, lambda: _says(b""))
    second = await join(1, lambda: _says(b"nats: not connected to NATS"))

    expected = "worker 1: nats: not connected to NATS"
    assert [await first.check_ready(), await second.check_ready()] == [expected, expected]


async def test_a_group_is_not_ready_while_a_worker_hangs_that_may_get_calls(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(siblings, "ASK_TIMEOUT_S", 0.05)
    first = await join(0, lambda: _says(b""))
    await join(1, _never)

    assert await first.check_ready() == "worker 1: does not answer"


async def test_any_worker_tells_the_metrics_of_all(join: Join) -> None:
    workers = [await join(index, lambda: _says(b"")) for index in range(2)]

    texts = [(await worker.metrics()).decode() for worker in workers]

    for text in texts:
        assert 'worker_up{worker="1"} 1.0' in text
        assert 'worker_up{worker="2"} 0.0' in text
        assert text.count("# TYPE calls_total counter") == 1
