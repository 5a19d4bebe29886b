"""Keys on every edge: new ones work at once, dead ones stop within a second, and a NATS that is away makes no key bad."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

import httpx
import pytest

from tests.support.console import ApiKey, ConsoleUser
from tests.support.product import Product

REFUSED_WITHIN_S = 1.0
POLL_S = 0.01
NATS_AWAY_S = 2.0


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Shows a measurement in the test run's output, also when the test passes."""

    def write(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{text}\n")

    return write


@pytest.fixture
def customer(product: Product) -> ConsoleUser:
    return product.new_customer()


def _status(product: Product, edge: int, key: ApiKey | str) -> int:
    """Of a call that needs the key and nothing else."""
    plaintext = key if isinstance(key, str) else key.plaintext
    url = f"{product.stack.edge_urls[edge]}/v1/models"
    return httpx.get(url, headers={"Authorization": f"Bearer {plaintext}"}, timeout=10.0, trust_env=False).status_code


def _seen_everywhere(product: Product, *keys: ApiKey) -> None:
    for edge in range(len(product.stack.edges)):
        for key in keys:
            assert _status(product, edge, key) == 200


def _refusal_delays_s(product: Product, key: ApiKey, changed_at: float) -> list[float]:
    """How long after `changed_at` each edge first refused the key; every edge is watched at the same time."""
    delays: dict[int, float] = {}

    def watch(edge: int) -> None:
        while time.monotonic() - changed_at < 20 * REFUSED_WITHIN_S:
            if _status(product, edge, key) == 401:
                delays[edge] = time.monotonic() - changed_at
                return
            time.sleep(POLL_S)

    watchers = [threading.Thread(target=watch, args=(edge,)) for edge in range(len(product.stack.edges))]
    for watcher in watchers:
        watcher.start()
    for watcher in watchers:
        watcher.join()
    assert len(delays) == len(watchers), f"not refused on every edge: {delays}"
    return [delays[edge] for edge in sorted(delays)]


def test_a_new_key_works_at_once_on_every_edge(product: Product, customer: ConsoleUser) -> None:
    for edge in range(len(product.stack.edges)):
        assert _status(product, edge, customer.create_key()) == 200


def test_a_rotated_keys_successor_works_at_once_and_keeps_the_id(product: Product, customer: ConsoleUser) -> None:
    old = customer.create_key()
    _seen_everywhere(product, old)

    new = customer.rotate_key(old)

    assert new.id == old.id
    _seen_everywhere(product, new)


def test_a_disabled_key_that_is_enabled_works_again(product: Product, customer: ConsoleUser) -> None:
    key = customer.create_key()
    customer.disable_key(key)
    _refusal_delays_s(product, key, time.monotonic())

    customer.enable_key(key)

    time.sleep(REFUSED_WITHIN_S)
    _seen_everywhere(product, key)


@pytest.mark.parametrize("change", ["disable_key", "rotate_key", "delete_key"])
def test_a_dead_key_is_refused_on_every_edge_within_a_second(
    product: Product, customer: ConsoleUser, change: str, tell: Callable[[str], None]
) -> None:
    key = customer.create_key()
    _seen_everywhere(product, key)

    getattr(customer, change)(key)
    delays = _refusal_delays_s(product, key, time.monotonic())

    tell(f"{change}: refused after {', '.join(f'{delay * 1000:.0f} ms' for delay in delays)}")
    assert max(delays) < REFUSED_WITHIN_S


@pytest.mark.parametrize("change", ["disable_key", "rotate_key"])
def test_right_after_a_nats_restart_a_dead_key_is_refused_within_a_second_too(
    product: Product, customer: ConsoleUser, change: str, tell: Callable[[str], None]
) -> None:
    key = customer.create_key()
    _seen_everywhere(product, key)

    product.stack.nats.kill()
    product.stack.nats.start()
    getattr(customer, change)(key)
    delays = _refusal_delays_s(product, key, time.monotonic())

    tell(f"{change} after a NATS restart: refused after {', '.join(f'{delay * 1000:.0f} ms' for delay in delays)}")
    assert max(delays) < REFUSED_WITHIN_S


def test_a_key_that_dies_while_nats_is_away_is_refused_within_a_second_of_its_return(
    product: Product, customer: ConsoleUser, tell: Callable[[str], None]
) -> None:
    key = customer.create_key()
    _seen_everywhere(product, key)

    product.stack.nats.kill()
    try:
        customer.disable_key(key)
    finally:
        product.stack.nats.start()
    delays = _refusal_delays_s(product, key, time.monotonic())

    tell(f"disabled while NATS was away: refused after {', '.join(f'{delay * 1000:.0f} ms' for delay in delays)}")
    assert max(delays) < REFUSED_WITHIN_S


def test_while_nats_is_away_a_good_key_never_gets_a_401(product: Product, customer: ConsoleUser) -> None:
    key = customer.create_key()
    _seen_everywhere(product, key)
    seen: Counter[int] = Counter()
    unknown: Counter[int] = Counter()
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}

    product.stack.nats.kill()
    try:
        until = time.monotonic() + NATS_AWAY_S
        while time.monotonic() < until:
            for edge in range(len(product.stack.edges)):
                seen[_status(product, edge, key)] += 1
                unknown[_status(product, edge, "sk-never-seen-before")] += 1
        # a call that needs money is refused for that reason, not for its key
        refused = httpx.post(
            f"{product.base_url()}/chat/completions",
            headers={"Authorization": f"Bearer {key.plaintext}"},
            json=body,
            timeout=20.0,
            trust_env=False,
        )
    finally:
        product.stack.nats.start()

    assert set(seen) <= {200, 503}
    assert set(unknown) == {503}, "whether it is unknown can't be said now"
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "billing_unavailable"
    assert int(refused.headers["retry-after"]) >= 1
    for edge in product.stack.edges:
        edge.wait_ready()
    _seen_everywhere(product, key)
