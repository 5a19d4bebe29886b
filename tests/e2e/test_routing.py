"""Routes of a model: priority, weight, failover, circuit breaker, and what of it the event tells."""

import secrets
import time
from collections import Counter
from typing import Any

from openai import OpenAI

from tests.support.event_stream import read_events
from tests.support.product import SANDBOX, Product
from tests.support.waiting import eventually
from tt_common.contracts.streams import USAGE, usage_subject
from tt_edge.routing.breaker import COOLDOWN_S, FAILURES_TO_OPEN

HELLO: Any = [{"role": "user", "content": "Say hello."}]
SECOND = "sandbox-second"


def _two_routes(product: Product, first: dict[str, int], second: dict[str, int]) -> tuple[str, str, str]:
    """A model with two routes; its name, and the upstream names of both."""
    product.operator.put_provider(SECOND, product.stack.provider_url, key_ref="env:SANDBOX_API_KEY")
    names = [f"{name}-{secrets.token_hex(4)}" for name in ("first", "second")]
    routes: list[dict[str, Any]] = [
        {"provider": SANDBOX, "upstream_model": names[0], **first},
        {"provider": SECOND, "upstream_model": names[1], **second},
    ]
    return product.new_model(routes=routes), names[0], names[1]


def _provider_of(client: OpenAI, model: str) -> str:
    raw = client.chat.completions.with_raw_response.create(model=model, messages=HELLO, max_tokens=5)
    return raw.headers["x-tt-provider"]


def test_the_lower_priority_number_takes_all_while_it_works(product: Product) -> None:
    model, _, _ = _two_routes(product, {"priority": 1}, {"priority": 0})

    with product.openai(product.new_customer().create_key()) as client:
        served = {_provider_of(client, model) for _ in range(10)}

    assert served == {SECOND}


def test_weights_spread_the_calls_within_a_priority(product: Product) -> None:
    model, _, _ = _two_routes(product, {"weight": 1}, {"weight": 4})

    with product.openai(product.new_customer().create_key()) as client:
        served = Counter(_provider_of(client, model) for _ in range(120))

    # four fifths of 120 are 96, with a standard deviation of 4.4
    assert 70 <= served[SECOND] <= 117
    assert served[SANDBOX] >= 3


def test_a_failing_route_is_left_alone_and_probed_again_and_its_attempts_are_in_the_events(product: Product) -> None:
    # given a first route that fails
    model, first, second = _two_routes(product, {"priority": 0}, {"priority": 1})
    product.provider.set_fault(first, fail_status=503)
    customer = product.new_customer()
    with product.openai(customer.create_key()) as client:
        # when more calls come than the breaker bears
        calls = FAILURES_TO_OPEN + 3
        served = [_provider_of(client, model) for _ in range(calls)]
        opened_at = time.monotonic()

        # then all are served by the second, and the first is not asked any more
        assert served == [SECOND] * calls
        assert len(product.provider.calls(model=first)) == FAILURES_TO_OPEN
        assert len(product.provider.calls(model=second)) == calls

        # and when it works again, it gets its calls back after the cool-down
        product.provider.set_fault(first, fail_status=None)
        eventually(lambda: _provider_of(client, model) == SANDBOX, "the first route in use again", COOLDOWN_S * 3)
        assert time.monotonic() - opened_at >= COOLDOWN_S - 1.5

    # and only the attempt that answered was charged; the others are listed
    customer.settled_balance_nanousd()
    events = read_events(product.stack.nats.url, USAGE.name, usage_subject(customer.account_id))
    attempts = [event.get("attempts", []) for event in events]
    assert all(event["outcome"] == "succeeded" for event in events)
    assert [len(tried) for tried in attempts[:calls]] == [1] * FAILURES_TO_OPEN + [0] * 3
    assert {(tried["provider"], tried["error"], tried["status"]) for tried in attempts[0]} == {(SANDBOX, "status", 503)}
    assert len(customer.charges()) == len(events)
