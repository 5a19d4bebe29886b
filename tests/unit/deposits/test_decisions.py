"""Operators' decisions: where they may be made, once, and what billing's answer makes of them."""

import pytest

from tests.unit.deposits.samples import LIMIT, NOW_MS, RULES, USDT, address_of, arrival, deposit_of, order
from tt_common.contracts.deposit_events import DepositConfirmed, DepositCredited
from tt_common.contracts.deposits import Decide
from tt_common.errors import DomainError
from tt_deposits.domain.booking import confirmed_event
from tt_deposits.domain.changes import Changes
from tt_deposits.domain.decisions import decide
from tt_deposits.domain.records import Deposit

MADE = arrival(1, address_of(1, "acc_1"), LIMIT + 1)


def held(reason: str = "above_limit") -> Deposit:
    return deposit_of(MADE, state="under_review", held_reason=reason)


def request(decision: str, account_id: str | None = None) -> Decide:
    return Decide(
        deposit_id=MADE.deposit_id,
        decision=decision,  # pyright: ignore[reportArgumentType]
        actor="op@example.com",
        reason="looked at it",
        account_id=account_id,
    )


def test_a_release_asks_for_the_credit_and_fills_an_order() -> None:
    deposit, changes = held(), Changes(RULES, NOW_MS, [order("ord_1")])

    assert decide(changes, deposit, request("release"))

    asked = changes.events[0]
    assert isinstance(asked, DepositConfirmed)
    assert (asked.entry, asked.account_id, asked.actor, asked.reason) == (
        "credit",
        "acc_1",
        "op@example.com",
        "looked at it",
    )
    assert (deposit.state, deposit.order_id) == ("crediting", "ord_1")


def test_what_was_refused_is_the_houses_until_it_is_assigned() -> None:
    deposit, changes = held(), Changes(RULES, NOW_MS)

    decide(changes, deposit, request("refuse"))
    assert (deposit.state, deposit.entry) == ("suspense", "suspend")
    with pytest.raises(DomainError, match="invalid_state"):
        decide(changes, deposit, request("assign", "acc_2"))  # billing has not booked it yet

    changes.book(deposit, "txn_1", NOW_MS)
    assert deposit.state == "suspense"
    decide(changes, deposit, request("assign", "acc_2"))
    changes.book(deposit, "txn_2", NOW_MS)

    assert (deposit.state, deposit.account_id, deposit.transaction_id) == ("credited", "acc_2", "txn_2")
    assert [(e.entry, e.account_id) for e in changes.events if isinstance(e, DepositConfirmed)] == [
        ("suspend", "house"),
        ("assign", "acc_2"),
    ]
    assert [e.account_id for e in changes.events if isinstance(e, DepositCredited)] == ["acc_2"]


@pytest.mark.parametrize("decisions", [["release"], ["refuse"], ["refuse", "booked", "assign"]])
def test_the_same_decision_again_changes_nothing(decisions: list[str]) -> None:
    deposit, changes = held(), Changes(RULES, NOW_MS)
    for decision in decisions:
        if decision == "booked":
            changes.book(deposit, "txn_1", NOW_MS)
        else:
            decide(changes, deposit, request(decision, "acc_2"))
    steps, events = len(changes.steps), len(changes.events)

    assert not decide(changes, deposit, request(decisions[-1], "acc_2"))

    assert (len(changes.steps), len(changes.events)) == (steps, events)


@pytest.mark.parametrize("decision", ["release", "refuse", "assign"])
@pytest.mark.parametrize("state", ["confirming", "crediting", "credited", "below_minimum", "orphaned"])
def test_nothing_is_decided_where_there_is_nothing_to_decide(decision: str, state: str) -> None:
    with pytest.raises(DomainError, match="invalid_state"):
        decide(Changes(RULES, NOW_MS), deposit_of(MADE, state=state, booked=True), request(decision, "acc_2"))


@pytest.mark.parametrize(("first", "then"), [("release", "refuse"), ("refuse", "release")])
def test_another_decision_is_refused(first: str, then: str) -> None:
    deposit, changes = held(), Changes(RULES, NOW_MS)
    decide(changes, deposit, request(first))

    with pytest.raises(DomainError, match="invalid_state"):
        decide(changes, deposit, request(then))


@pytest.mark.parametrize("decision", ["release", "refuse"])
def test_what_the_ledger_cant_book_stays_under_review(decision: str) -> None:
    with pytest.raises(DomainError, match="can't book"):
        decide(Changes(RULES, NOW_MS), held("amount_overflow"), request(decision))


def test_the_question_to_billing_is_the_same_however_often_it_is_asked() -> None:
    made = arrival(2, address_of(1, "acc_1"), USDT)
    deposit, changes = deposit_of(made), Changes(RULES, NOW_MS)
    changes.credit(deposit)

    assert confirmed_event(deposit, "credit") == changes.events[0]


def test_billings_answer_credits_once() -> None:
    made = arrival(2, address_of(1, "acc_1"), USDT)
    deposit, changes = deposit_of(made), Changes(RULES, NOW_MS)
    changes.credit(deposit)

    changes.book(deposit, "txn_1", 5)
    deposit.booked = False  # billing had lost it, and was asked again
    changes.book(deposit, "txn_1", 6)

    assert [step.state for step in changes.steps] == ["crediting", "credited"]
    assert [type(event) for event in changes.events] == [DepositConfirmed, DepositCredited]
    assert deposit.credited_at_ms == 5
