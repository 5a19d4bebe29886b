"""Price versions: immutable, numbered, in force from their start."""

import pytest

from tt_billing.domain.prices import check_rates, next_version, price_record
from tt_common.contracts.wallets import PublishPrice
from tt_common.errors import DomainError
from tt_common.rating import LongContextTier, Price, Rates, price_in_force

NOW = 1_700_000_000_000


def publish(rate: int, starts_at_ms: int | None = None, tiers: tuple[LongContextTier, ...] = ()) -> PublishPrice:
    return PublishPrice(model="m", rates=Rates(input=rate), actor="op", starts_at_ms=starts_at_ms, long_context=tiers)


def versions(*requests: PublishPrice) -> tuple[Price, ...]:
    made: tuple[Price, ...] = ()
    for request in requests:
        price = next_version(made, request, NOW)
        assert price is not None
        made = (*made, price)
    return made


def test_the_same_rates_make_no_new_version_but_other_tiers_do() -> None:
    made = versions(publish(5))
    assert next_version(made, publish(5), NOW) is None
    tier = LongContextTier(above_tokens=10, rates=Rates(input=9))
    newer = next_version(made, publish(5, tiers=(tier,)), NOW)
    assert newer is not None
    assert newer.version == "m@2"


def test_a_start_in_the_past_is_now() -> None:
    assert versions(publish(5, starts_at_ms=3))[0].starts_at_ms == NOW


def test_edges_get_the_version_in_force_and_those_to_come() -> None:
    made = versions(publish(1), publish(2), publish(3, starts_at_ms=NOW + 1000))
    record = price_record("m", 3, made, NOW)
    assert [price.version for price in record.versions] == ["m@2", "m@3"]
    later = price_record("m", 3, made, NOW + 1000)
    assert [price.version for price in later.versions] == ["m@3"]


def test_a_price_published_after_the_clock_was_put_back_still_replaces_the_one_in_force() -> None:
    # given a price published by a clock that ran ten minutes ahead
    made = versions(publish(1))
    # when it is put right, and another is published
    now = NOW - 600_000
    newer = next_version(made, publish(2), now)
    # then that one is in force at the same moment as the first would have been, and ever after
    assert newer is not None
    assert price_in_force((*made, newer), NOW) is newer


def test_an_edge_whose_clock_is_behind_serves_the_price_that_billing_says_is_in_force() -> None:
    # given a record that billing has just written, and an edge ten minutes behind
    made = versions(publish(1), publish(2, starts_at_ms=NOW + 1000))
    record = price_record("m", 2, made, NOW)
    # when / then
    assert record.in_force(NOW - 600_000) == made[0]
    assert record.in_force(NOW + 1000) == made[1]


@pytest.mark.parametrize(
    "request_",
    [
        publish(-1),
        publish(10**18),
        publish(1, tiers=(LongContextTier(above_tokens=5, rates=Rates(input=-1)),)),
        publish(1, tiers=(LongContextTier(above_tokens=0, rates=Rates()),)),
    ],
)
def test_rates_that_make_no_sense_are_refused(request_: PublishPrice) -> None:
    with pytest.raises(DomainError, match="invalid_price"):
        check_rates(request_)
