"""Which recharge order a transfer counts for, against a small model; and what it makes of the order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.deposits.samples import order
from tt_common.contracts.deposit_events import OrderStatus
from tt_deposits.domain.orders import RechargeOrder, choose_order, fill_order

EARLY, EXPIRY, LATE = 500, 1_000, 1_500
AMOUNTS = st.integers(1, 3)
STATUSES: tuple[OrderStatus, ...] = ("waiting", "partial", "paid", "over", "paid_late", "expired", "cancelled")
OFTEN_OPEN = st.one_of(st.just("waiting"), st.just("partial"), st.sampled_from(STATUSES))


@st.composite
def some_orders(draw: st.DrawFn) -> list[RechargeOrder]:
    """In any state that could be stored, of few ages and amounts so that they are alike."""
    return [
        order(
            f"ord_{number}",
            draw(st.none() | AMOUNTS),
            received_micro_usdt=draw(st.integers(0, 3)),
            status=draw(OFTEN_OPEN),
            created_at_ms=draw(st.integers(0, 3)),
            expires_at_ms=EXPIRY,
        )
        for number in range(draw(st.integers(0, 6)))
    ]


def model(orders: list[RechargeOrder], amount: int, time_ms: int) -> str | None:
    """What the rules say, in their words."""

    def lacks(one: RechargeOrder) -> int | None:
        return None if one.amount_micro_usdt is None else one.amount_micro_usdt - one.received_micro_usdt

    def is_full(one: RechargeOrder) -> bool:
        return one.received_micro_usdt > 0 if one.amount_micro_usdt is None else (lacks(one) or 0) <= 0

    by_age = sorted(orders, key=lambda one: (one.created_at_ms, one.order_id))
    not_full = [one for one in by_age if not is_full(one)]
    open_ones = [one for one in not_full if one.status in ("waiting", "partial", "expired") and time_ms <= EXPIRY]
    exact = [one for one in open_ones if lacks(one) == amount]
    late = [one for one in not_full if one.status in ("waiting", "partial", "expired", "paid_late")]
    for wanted in (exact[:1], open_ones[:1], late[-1:]):
        if wanted:
            return wanted[0].order_id
    return None


@given(some_orders(), AMOUNTS, st.sampled_from([EARLY, EXPIRY, LATE]))
def test_the_order_that_a_transfer_counts_for_is_the_models(
    orders: list[RechargeOrder], amount: int, time_ms: int
) -> None:
    chosen = choose_order(orders, amount, time_ms)

    assert (chosen.order_id if chosen else None) == model(orders, amount, time_ms)


def test_the_order_that_lacks_exactly_this_much_comes_before_an_older_one() -> None:
    older, exact = order("ord_1", 9, created_at_ms=1), order("ord_2", 5, received_micro_usdt=2, created_at_ms=2)

    assert choose_order([older, exact], 3, EARLY) is exact
    assert choose_order([older, exact], 4, EARLY) is older


@given(some_orders(), st.lists(st.tuples(AMOUNTS, st.sampled_from([EARLY, LATE])), max_size=8))
def test_orders_get_each_transfer_once_and_those_that_ended_get_nothing(
    orders: list[RechargeOrder], transfers: list[tuple[int, int]]
) -> None:
    before = {one.order_id: (one.status, one.received_micro_usdt) for one in orders}
    counted = 0

    for amount, time_ms in transfers:
        chosen = choose_order(orders, amount, time_ms)
        if chosen is not None:
            fill_order(chosen, amount, time_ms)
            counted += amount

    assert sum(one.received_micro_usdt - before[one.order_id][1] for one in orders) == counted
    for one in orders:
        if before[one.order_id][0] in ("paid", "over", "cancelled"):
            assert (one.status, one.received_micro_usdt) == before[one.order_id]


@pytest.mark.parametrize(
    ("amount", "transfers", "status"),
    [
        (None, [(3, EARLY)], "paid"),
        (5, [(5, EARLY)], "paid"),
        (5, [(2, EARLY)], "partial"),
        (5, [(2, EARLY), (3, EXPIRY)], "paid"),
        (5, [(2, EARLY), (4, EARLY)], "over"),
        (5, [(5, LATE)], "paid_late"),
        (5, [(2, EARLY), (3, LATE)], "paid_late"),
        (5, [(2, LATE)], "paid_late"),
        (None, [(1, LATE)], "paid_late"),
    ],
)
def test_an_order_says_what_came_for_it(
    amount: int | None, transfers: list[tuple[int, int]], status: OrderStatus
) -> None:
    asked = order("ord_1", amount, expires_at_ms=EXPIRY)

    for arrived, time_ms in transfers:
        assert choose_order([asked], arrived, time_ms) is asked
        fill_order(asked, arrived, time_ms)

    assert asked.status == status
    assert asked.received_micro_usdt == sum(arrived for arrived, _ in transfers)


@pytest.mark.parametrize(("arrived", "status"), [(5, "paid"), (2, "expired")])
def test_what_was_in_a_block_before_the_order_expired_is_in_time_though_it_is_read_later(
    arrived: int, status: OrderStatus
) -> None:
    asked = order("ord_1", 5, expires_at_ms=EXPIRY, status="expired")

    fill_order(asked, arrived, EARLY)

    assert asked.status == status
