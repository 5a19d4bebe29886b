"""Routes: strict priorities, fair weights, and a breaker that is a small state machine."""

import random
from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.unit.edge.samples import model, provider
from tt_common.contracts.records import Route
from tt_edge.routing.breaker import COOLDOWN_S, COOLDOWN_S_MAX, FAILURES_TO_OPEN, PROBE_LEASE_S, Breaker
from tt_edge.routing.routes import ROUTES_TRIED_MAX, RouteBook


def route(name: str, priority: int = 0, weight: int = 1) -> Route:
    return Route(provider=name, upstream_model="m", priority=priority, weight=weight)


class BreakerMachine(RuleBasedStateMachine):
    """Against a model of three states that says in words what the breaker does."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now = 1000.0
        self.failures = 0
        self.cooldown_s = COOLDOWN_S
        self.open_until: float | None = None
        self.probe_until: float | None = None

    def expected(self) -> bool:
        if self.open_until is None:
            return True
        return self.now >= self.open_until and (self.probe_until is None or self.now >= self.probe_until)

    @rule(seconds=st.floats(0.001, 100))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.expected())
    @rule()
    def a_call_begins(self) -> None:
        self.breaker.begin(self.now)
        if self.open_until is not None:
            self.probe_until = self.now + PROBE_LEASE_S

    @rule()
    def a_call_succeeds(self) -> None:
        self.breaker.succeeded()
        self.failures, self.cooldown_s, self.open_until, self.probe_until = 0, COOLDOWN_S, None, None

    @rule()
    def a_call_fails(self) -> None:
        self.breaker.failed(self.now)
        if self.open_until is None:
            self.failures += 1
            if self.failures == FAILURES_TO_OPEN:
                self.open_until = self.now + self.cooldown_s
        elif self.now >= self.open_until:
            self.cooldown_s = min(self.cooldown_s * 2, COOLDOWN_S_MAX)
            self.open_until, self.probe_until = self.now + self.cooldown_s, None

    @rule()
    def a_call_is_abandoned(self) -> None:
        self.breaker.abandoned()
        self.probe_until = None

    @invariant()
    def allows_exactly_what_the_model_allows(self) -> None:
        assert self.breaker.allows(self.now) == self.expected()
        waits = [until - self.now for until in (self.open_until, self.probe_until) if until is not None]
        wait_s = max(0.0, *waits) if self.open_until is not None else 0.0
        assert self.breaker.retry_after_s(self.now) == pytest.approx(wait_s)


TestBreaker = BreakerMachine.TestCase


def test_many_calls_that_fail_at_once_cool_the_route_down_once() -> None:
    # given a hundred calls under way when the provider breaks
    breaker = Breaker()
    for _ in range(100):
        breaker.begin(0.0)
    for _ in range(100):
        breaker.failed(1.0)

    # then it is probed after the first cool-down, not after the longest
    assert not breaker.allows(1.0 + COOLDOWN_S - 0.001)
    assert breaker.allows(1.0 + COOLDOWN_S)


def test_only_one_probe_at_a_time() -> None:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN):
        breaker.failed(0.0)
    breaker.begin(COOLDOWN_S)
    assert not breaker.allows(COOLDOWN_S + 1)
    assert breaker.allows(COOLDOWN_S + PROBE_LEASE_S)


def test_weights_are_shares_and_priorities_are_strict() -> None:
    # given three routes of the first priority and a heavy one of the second
    book = RouteBook(random.Random(1))
    routes = model(route("a", 0, 1), route("b", 0, 3), route("c", 0, 6), route("d", 1, 1000))
    providers = {name: provider(name) for name in "abcd"}

    # when
    plans = [book.plan(routes, providers) for _ in range(5000)]

    # then
    firsts = Counter(plan[0].provider for plan in plans)
    assert firsts["a"] / 5000 == pytest.approx(0.1, abs=0.02)
    assert firsts["b"] / 5000 == pytest.approx(0.3, abs=0.03)
    assert firsts["c"] / 5000 == pytest.approx(0.6, abs=0.03)
    assert all([r.provider for r in plan][3:] == ["d"] for plan in plans)
    assert all(sorted(r.provider for r in plan) == list("abcd") for plan in plans)


def test_disabled_unknown_and_cooling_providers_are_left_out() -> None:
    # given
    book = RouteBook()
    routes = model(route("off"), route("unknown"), route("cooling"), route("fine", 5))
    providers = {
        "off": provider("off", status="disabled"),
        "cooling": provider("cooling"),
        "fine": provider("fine"),
    }
    for _ in range(FAILURES_TO_OPEN):
        book.breaker(route("cooling")).failed(1e12)

    # then
    assert [r.provider for r in book.plan(routes, providers)] == ["fine"]
    assert book.retry_after_s(model(route("fine"))) == 1.0
    assert book.retry_after_s(model(route("cooling"))) > 1.0


def test_at_most_eight_routes_are_tried() -> None:
    routes = model(*(route(str(number)) for number in range(20)))
    providers = {str(number): provider(str(number)) for number in range(20)}
    assert len(RouteBook().plan(routes, providers)) == ROUTES_TRIED_MAX
