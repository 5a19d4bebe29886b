"""What becomes of a transfer: each rule by name, and any sequence of blocks against a small model that only adds up."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.deposits.samples import LIMIT, MINIMUM, NOW_MS, RULES, USDT, address_of, arrival, deposit_of, order
from tt_common.contracts.deposit_events import (
    DepositBelowMinimum,
    DepositConfirmed,
    DepositHeld,
    OrderChanged,
)
from tt_deposits.domain.booking import AMOUNT_MICRO_USDT_MAX
from tt_deposits.domain.changes import Changes
from tt_deposits.domain.intake import Arrival, judge, take_in
from tt_deposits.domain.records import Deposit

MINE = address_of(1, "acc_1")
NOBODYS = address_of(2, None)
BLACKLISTED = address_of(3, "acc_3", blacklisted=True)


def taken(arrivals: Sequence[Arrival], waiting: Sequence[Deposit] = ()) -> Changes:
    changes = Changes(RULES, NOW_MS)
    take_in(changes, arrivals, waiting)
    return changes


@pytest.mark.parametrize(
    ("address", "amount", "waiting", "verdict"),
    [
        (MINE, MINIMUM, 0, "credit"),
        (MINE, MINIMUM - 1, 0, "below_minimum"),
        (MINE, MINIMUM - 1, 1, "credit"),
        (MINE, LIMIT, 0, "credit"),
        (MINE, LIMIT + 1, 0, "above_limit"),
        (MINE, AMOUNT_MICRO_USDT_MAX + 1, 0, "amount_overflow"),
        (MINE, 2**256 - 1, 0, "amount_overflow"),
        (BLACKLISTED, MINIMUM, 0, "blacklisted_address"),
        (BLACKLISTED, 1, 0, "blacklisted_address"),
        (NOBODYS, 1, 0, "suspend"),
        (NOBODYS, LIMIT + 1, 0, "suspend"),
        (NOBODYS, 2**64, 0, "amount_overflow"),
    ],
)
def test_where_a_transfer_goes(address: object, amount: int, waiting: int, verdict: str) -> None:
    assert judge(RULES, amount, address, waiting) == verdict  # pyright: ignore[reportArgumentType]


def test_what_waited_below_the_minimum_is_credited_with_what_reaches_it_each_by_its_own_event() -> None:
    first, second, third = (arrival(number, MINE, 400_000) for number in (1, 2, 3))

    changes = taken([second, third], [deposit_of(first, state="below_minimum")])

    asked = [event for event in changes.events if isinstance(event, DepositConfirmed)]
    assert {event.deposit_id: event.amount_nanousd for event in asked} == {
        made.deposit_id: 400_000_000 for made in (first, second, third)
    }
    assert [event.accumulated_micro_usdt for event in changes.events if isinstance(event, DepositBelowMinimum)] == [
        800_000
    ]
    assert {deposit.state for deposit in changes.deposits.values()} == {"crediting"}
    assert changes.received[1].amount_micro_usdt == 800_000  # the first was counted when it came


def test_what_was_credited_together_waits_no_more_for_the_next_in_the_same_block() -> None:
    amounts = (600_000, 600_000, 700_000, 2 * USDT)

    changes = taken([arrival(number, MINE, amount) for number, amount in enumerate(amounts)])

    asked = [event.amount_nanousd for event in changes.events if isinstance(event, DepositConfirmed)]
    assert asked == [600_000_000, 600_000_000, 700_000_000, 2_000_000_000]


def test_money_at_an_address_that_is_nobodys_is_suspended_for_the_house() -> None:
    changes = taken([arrival(1, NOBODYS, USDT)])

    (event,) = changes.events
    assert isinstance(event, DepositConfirmed)
    assert (event.account_id, event.entry) == ("house", "suspend")


def test_what_is_held_asks_billing_nothing_and_fills_no_order() -> None:
    changes = Changes(RULES, NOW_MS, [order("ord_1")])

    take_in(changes, [arrival(1, MINE, LIMIT + 1)], [])

    assert [type(event) for event in changes.events] == [DepositHeld]
    assert changes.changed_orders == {}


def test_a_credit_counts_for_the_accounts_order_and_for_no_other_accounts() -> None:
    changes = Changes(RULES, NOW_MS, [order("ord_other", account_id="acc_2"), order("ord_mine", 2 * USDT)])

    take_in(changes, [arrival(1, MINE, 2 * USDT)], [])

    assert [event.order_id for event in changes.events if isinstance(event, OrderChanged)] == ["ord_mine"]
    assert changes.changed_orders["ord_mine"].status == "paid"


@pytest.mark.parametrize("state", ["crediting", "credited", "below_minimum", "under_review", "suspense"])
def test_what_is_confirmed_already_is_left_alone(state: str) -> None:
    made = arrival(1, MINE, USDT)
    again = Arrival(
        deposit_id=made.deposit_id,
        block=made.block,
        transfer=made.transfer,
        address=made.address,
        known=deposit_of(made, state=state),
    )

    changes = taken([again])

    assert (changes.deposits, changes.events, changes.received) == ({}, [], {})


def test_a_transfer_that_a_block_names_twice_is_taken_in_once() -> None:
    made = arrival(1, MINE, USDT)

    changes = Changes(RULES, NOW_MS)

    assert take_in(changes, [made, made], []) == 1
    assert changes.received[1].amount_micro_usdt == USDT


PLACES = (MINE, address_of(4, "acc_4"), NOBODYS, BLACKLISTED)
AMOUNTS = st.sampled_from([1, 300_000, 500_000, MINIMUM - 1, MINIMUM, LIMIT, LIMIT + 1, 2**63, 2**200])


@given(st.lists(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(PLACES), AMOUNTS), max_size=6), max_size=8))
def test_any_blocks_taken_in_once_or_again_give_what_a_sum_gives(blocks: list[list[tuple[int, object, int]]]) -> None:
    """Given blocks that name some transfers again, when each is taken in, nothing is lost or told twice."""
    rows: dict[str, Deposit] = {}
    first: dict[str, Arrival] = {}
    asked: dict[str, int] = {}
    received = 0

    for height, block in enumerate(blocks):
        arrivals: list[Arrival] = []
        for number, address, amount in block:
            made = arrival(number, address, amount, height)  # pyright: ignore[reportArgumentType]
            # The chain has one transfer of a name.
            made = first.setdefault(made.deposit_id, made)
            arrivals.append(
                Arrival(
                    deposit_id=made.deposit_id,
                    block=made.block,
                    transfer=made.transfer,
                    address=made.address,
                    known=rows.get(made.deposit_id),
                )
            )
        indexes = {made.address.index for made in arrivals}
        waiting = [d for d in rows.values() if d.state == "below_minimum" and d.address_index in indexes]
        changes = Changes(RULES, NOW_MS)
        take_in(changes, arrivals, waiting)
        rows |= changes.deposits
        received += sum(got.amount_micro_usdt for got in changes.received.values())
        for event in changes.events:
            if isinstance(event, DepositConfirmed):
                assert event.deposit_id not in asked, "asked once"
                asked[event.deposit_id] = event.amount_nanousd

    assert rows.keys() == first.keys()
    assert received == sum(made.transfer.amount_micro_usdt for made in first.values())
    assert asked == {
        key: row.transfer.amount_micro_usdt * 1000
        for key, row in rows.items()
        if row.state in ("crediting", "suspense")
    }
    for address in PLACES:
        kept = [
            row.transfer.amount_micro_usdt
            for row in rows.values()
            if row.address_index == address.index and row.state == "below_minimum"
        ]
        assert sum(kept) < MINIMUM
