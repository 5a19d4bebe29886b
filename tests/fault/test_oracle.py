"""The oracle itself: it must notice what it is there for."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.fault import oracle
from tests.fault.driver import Record, driver
from tests.fault.oracle import assert_consistent
from tests.fault.world import World

Calls = list[dict[str, Any]]


def _one_more(calls: Calls) -> Calls:
    return [*calls, calls[-1] | {"request_id": "nobody-told", "label": ""}]


def _one_less(calls: Calls) -> Calls:
    return calls[:-1]


def _another_token(calls: Calls) -> Calls:
    return [*calls[:-1], calls[-1] | {"completion_tokens": calls[-1]["completion_tokens"] + 1}]


def _called_twice(calls: Calls) -> Calls:
    return [*calls, calls[-1]]


async def test_the_oracle_notices_calls_that_are_not_billed_billed_for_nothing_wrongly_or_made_twice(
    world: World, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a few calls that are billed right
    key = world.key("1")
    async with driver(record) as sender:
        for number in range(4):
            await sender.call(key, number, stream=number % 2 == 0, switches={"output_tokens": 5})
    assert_consistent(record)
    # when the provider's record says something else / then the oracle says so
    monkeypatch.setattr(oracle, "SETTLE_S", 0.1)
    true_record = world.provider_calls
    wrongs: dict[Callable[[Calls], Calls], str] = {
        _one_more: "have no event",
        _one_less: "is charged, the provider served",
        _another_token: "cost_nanousd=",
        _called_twice: "the provider served",
    }
    for wrong, complaint in wrongs.items():
        monkeypatch.setattr(world, "provider_calls", lambda since=0, wrong=wrong: wrong(true_record(since)))
        with pytest.raises(AssertionError, match=complaint):
            assert_consistent(record)
