"""What a database learns of assignments that it has forgotten, and what nobody gets."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_common.contracts.deposit_events import AddressAssigned
from tt_deposits.domain.assignments import CONFLICT, RESTORED, Claim, assigned_event, compare, is_ours
from tt_deposits.domain.derivation import AccountKey
from tt_deposits.domain.records import GivenAddress

KEY = AccountKey(
    "xpub6D1AabNHCupeiLM65ZR9UStMhJ1vCpyV4XbZdyhMZBiJXALQtmn9p42VTQckoHVn8WNqS7dqnJokZHAHcHGoaQgmv8D45oNUKx6DZMNZBCd"
)


def assigned(index: int, account_id: str) -> AddressAssigned:
    given = GivenAddress(
        index=index,
        address=KEY.address(index),
        activated=False,
        blacklisted=False,
        checked_height=100 + index,
        assigned_at_ms=7,
    )
    return assigned_event(given, account_id, "sandbox", KEY.fingerprint)


def row(index: int, account_id: str | None = None, skipped_reason: str = "") -> Claim:
    return Claim(index=index, account_id=account_id, skipped_reason=skipped_reason)


def test_what_is_known_is_left_alone_and_what_is_forgotten_is_taken_over() -> None:
    events = [assigned(0, "a"), assigned(1, "b"), assigned(2, "c"), assigned(3, "d")]
    found = compare(events, [row(0, "a"), row(1), row(2, skipped_reason=RESTORED)])
    assert (list(found.adopted.values()), found.conflicts) == (events[1:], [])


@pytest.mark.parametrize(
    ("events", "known", "conflict"),
    [
        ([assigned(0, "a")], [row(0, "b")], "address_of_another"),
        ([assigned(0, "a"), assigned(0, "b")], [], "address_of_another"),
        ([assigned(0, "a")], [row(4, "a")], "second_address"),
        ([assigned(0, "a"), assigned(1, "a")], [row(1)], "second_address"),
        ([assigned(0, "a")], [row(0, skipped_reason="had_balance")], "skipped"),
        ([assigned(0, "a")], [row(0, skipped_reason=CONFLICT)], "skipped"),
    ],
)
def test_what_is_claimed_twice_is_nobodys(events: list[AddressAssigned], known: list[Claim], conflict: str) -> None:
    found = compare(events, known)
    ((event, reason),) = found.conflicts
    assert (event, reason) == (events[-1], conflict)
    assert event.index not in found.adopted


def test_who_loses_an_address_to_a_conflict_may_have_another() -> None:
    found = compare([assigned(0, "a"), assigned(5, "b")], [row(0, "b")])
    assert [event.index for event, _ in found.conflicts] == [0]
    assert [(event.index, event.account_id) for event in found.adopted.values()] == [(5, "b")]


@pytest.mark.parametrize(
    "changes",
    [{"network": "mainnet"}, {"xpub_fingerprint": "0" * 32}, {"index": 8}, {"index": 2**31}, {"index": -1}],
    ids=["network", "xpub", "another index", "no index", "below 0"],
)
def test_only_what_our_xpub_has_on_our_chain_is_ours(changes: dict[str, object]) -> None:
    event = assigned(7, "a")
    assert is_ours(event, KEY, "sandbox")
    assert not is_ours(msgspec.structs.replace(event, **changes), KEY, "sandbox")


def test_the_same_assignment_has_the_same_id_and_another_one_another() -> None:
    assert len({assigned(*pair).id for pair in ((1, "a"), (1, "a"), (2, "a"), (1, "b"))}) == 3


CLAIMED = st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abcd")), max_size=12)


@given(CLAIMED, st.integers(0, 12))
def test_whatever_is_claimed_no_address_gets_two_accounts_and_no_account_two_addresses(
    said: list[tuple[int, str]], remembered: int
) -> None:
    """The database has taken over the first ones, as any backup has."""
    events = [assigned(index, account_id) for index, account_id in said]
    rows: dict[int, Claim] = {}
    for part in (events[:remembered], events[remembered:], events[remembered:]):
        found = compare(part, rows.values())
        for event, _ in found.conflicts:
            rows[event.index] = row(event.index, None, CONFLICT)
        for event in found.adopted.values():
            assert rows.get(event.index, row(event.index)).account_id is None
            rows[event.index] = row(event.index, event.account_id)
    held = [claim.account_id for claim in rows.values() if claim.account_id is not None]
    assert len(held) == len(set(held))
    twice = {index for index, account in said for other, another in said if index == other and account != another}
    assert all(rows[index].account_id is None for index in twice)
