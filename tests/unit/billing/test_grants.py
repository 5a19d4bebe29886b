"""Totals on both sides: whatever order shrinks and changes arrive in, both sides end with the same grant."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.billing.events import usage_event
from tt_billing.domain.book import Book, Wallet
from tt_billing.domain.grants import GrantTerms, Refusal, change_grant, shrink_grant
from tt_billing.domain.settlement import settle_event
from tt_common.contracts.grants import ChangeGrant, GrantReply, KeyTerms, ShrinkGrant, Slices
from tt_common.errors import DomainError

NOW_MS = 1_700_000_000_000
TERMS = GrantTerms(soft_ttl_s=30, hard_ttl_s=90)
PLENTY = 10**12
LIMITS = {"requests_per_minute": 10**6, "tokens_per_minute": 10**9, "concurrency": 10**6}


def given_book(wallet: int = PLENTY) -> Book:
    book = Book(NOW_MS, 0)
    book.wallets["acc_1"] = Wallet(account_id="acc_1", available_nanousd=wallet)
    return book


def change(revision: int, need: int, slices: Slices | None = None, grant_id: str = "g") -> ChangeGrant:
    return ChangeGrant(
        grant_id=grant_id,
        revision=revision,
        key=KeyTerms(key_id="key_1", account_id="acc_1", revision=1, **LIMITS),
        edge_id="e",
        boot_epoch="b",
        need_nanousd=need,
        need=slices or Slices(),
    )


def shrink(
    back: int, slices: Slices | None = None, *, window: int = 1, seen: int = 0, final: int | None = None
) -> ShrinkGrant:
    return ShrinkGrant(
        grant_id="g",
        account_id="acc_1",
        key_id="key_1",
        given_back_nanousd=back,
        window=window,
        given_back=slices or Slices(),
        requests_seen=seen,
        final_events=final,
    )


def totals(book: Book) -> object:
    """Everything that counts of the grant, its wallet and its key; times, revisions and the log left out."""
    grant, window = book.grants["g"], book.windows["key_1"]
    return (
        msgspec.structs.asdict(book.wallets["acc_1"]),
        (grant.granted_nanousd, grant.held_nanousd, grant.back_nanousd, grant.captured_nanousd),
        (grant.slice_requests, grant.slice_tokens, grant.slice_concurrency),
        (grant.back_requests, grant.back_tokens, grant.back_concurrency),
        (window.requests_out, window.tokens_out, window.concurrency_out),
    )


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[ChangeGrant], list[tuple[int, ShrinkGrant]]]:
    """What an edge sent: changes in order, and shrinks, each with the number of changes whose answer it had seen."""
    count = draw(st.integers(1, 5))
    needs = draw(st.lists(st.integers(0, 1000), min_size=count, max_size=count))
    parts = draw(st.lists(st.integers(0, 20), min_size=count, max_size=count))
    changes = [
        change(i + 1, need, Slices(requests=part, tokens=part * 10, concurrency=part))
        for i, (need, part) in enumerate(zip(needs, parts, strict=True))
    ]
    shrinks: list[tuple[int, ShrinkGrant]] = []
    money = units = 0
    for known in sorted(draw(st.lists(st.integers(1, count), max_size=6))):
        money = draw(st.integers(money, max(money, sum(needs[:known]))))
        units = draw(st.integers(units, max(units, sum(parts[:known]))))
        back = Slices(requests=units, tokens=units * 10, concurrency=units)
        shrinks.append((known, shrink(money, back, seen=sum(parts[:known]))))
    return changes, shrinks


@given(histories(), st.data())
def test_any_order_and_repetition_of_shrinks_and_changes_gives_the_same_totals(
    history: tuple[list[ChangeGrant], list[tuple[int, ShrinkGrant]]], data: st.DataObject
) -> None:
    # given the totals when everything arrives once and in order
    changes, shrinks = history
    orderly = given_book()
    for number, request in enumerate(changes, 1):
        change_grant(orderly, request, TERMS)
        for known, given_back in shrinks:
            if known == number:
                shrink_grant(orderly, given_back, TERMS)

    # when the shrinks arrive in any order, some twice, at any time after the change they know of, and changes are repeated
    copies = [pair for pair in shrinks for _ in range(data.draw(st.integers(1, 3)))]
    arrivals = [(data.draw(st.integers(known, len(changes))), given_back) for known, given_back in copies]
    arrivals = data.draw(st.permutations(arrivals))
    book = given_book()
    for number, request in enumerate(changes, 1):
        reply = change_grant(book, request, TERMS)
        for at, given_back in arrivals:
            if at == number:
                shrink_grant(book, given_back, TERMS)
                again = change_grant(book, request, TERMS)
                assert isinstance(reply, GrantReply)
                assert isinstance(again, GrantReply)
                assert (again.granted_nanousd, again.slices) == (reply.granted_nanousd, reply.slices)

    # then
    assert totals(book) == totals(orderly)
    wallet = book.wallets["acc_1"]
    assert wallet.available_nanousd + wallet.held_nanousd == PLENTY
    assert wallet.held_nanousd == sum(c.need_nanousd for c in changes) - max(
        (s.given_back_nanousd for _, s in shrinks), default=0
    )


def test_a_close_that_overtakes_its_open_makes_it_ended_and_holds_nothing() -> None:
    # given
    book = given_book()
    assert shrink_grant(book, shrink(0, window=0, final=0), TERMS)

    # when
    with pytest.raises(DomainError) as refused:
        change_grant(book, change(1, 100), TERMS)

    # then
    assert refused.value.code == "grant_ended"
    assert (book.grants["g"].state, book.wallets["acc_1"].held_nanousd, book.transfers) == ("ended", 0, [])
    assert book.changed_grants == {"g"}
    assert not shrink_grant(book, shrink(0, window=0, final=0), TERMS)


def test_a_shrink_of_an_unknown_grant_that_does_not_close_it_leaves_nothing_behind() -> None:
    book = given_book()
    assert not shrink_grant(book, shrink(50), TERMS)
    assert book.grants == {}
    assert isinstance(change_grant(book, change(1, 100), TERMS), GrantReply)


def test_a_shrink_of_another_accounts_grant_moves_nothing() -> None:
    book = given_book()
    change_grant(book, change(1, 100), TERMS)
    assert not shrink_grant(book, msgspec.structs.replace(shrink(50), account_id="acc_2"), TERMS)
    assert book.grants["g"].held_nanousd == 100


def test_a_recall_that_crosses_a_change_takes_only_what_the_edge_knew_of() -> None:
    # given a grant of 100 whose edge has 40 of them free, and a change of 60 that it has not heard of yet
    book = given_book(200)
    change_grant(book, change(1, 100), TERMS)
    reply = change_grant(book, change(2, 60), TERMS)
    assert isinstance(reply, GrantReply)

    # when it answers a recall
    shrink_grant(book, shrink(40), TERMS)

    # then the change is whole, and only the 40 are free again
    assert reply.granted_nanousd == 160
    assert (book.grants["g"].held_nanousd, book.wallets["acc_1"].available_nanousd) == (120, 80)


def test_usage_above_its_hold_is_charged_and_the_next_call_served_by_one_change() -> None:
    # given a grant of 100 on which 130 were used: its edge has -30 free
    book = given_book(1000)
    change_grant(book, change(1, 100), TERMS)
    settle_event(book, usage_event(130, "g"))
    assert (book.grants["g"].granted_nanousd, book.wallets["acc_1"].available_nanousd) == (100, 870)

    # when it asks for a call of 50
    reply = change_grant(book, change(2, 80), TERMS)

    # then it has 50 free, and after the close all but what was used is in the wallet again
    assert isinstance(reply, GrantReply)
    assert reply.granted_nanousd - 130 == 50
    shrink_grant(book, shrink(50, final=1), TERMS)
    wallet = book.wallets["acc_1"]
    assert (wallet.available_nanousd, wallet.held_nanousd, book.grants["g"].state) == (870, 0, "ended")


def test_a_refused_change_moves_nothing_and_the_same_revision_may_be_granted_later() -> None:
    book = given_book(100)
    refusal = change_grant(book, change(1, 101), TERMS)
    assert isinstance(refusal, Refusal)
    assert (refusal.error.code, book.grants, book.transfers) == ("billing_shortfall", {}, [])
    book.wallets["acc_1"].available_nanousd = 101
    assert isinstance(change_grant(book, change(1, 101), TERMS), GrantReply)
