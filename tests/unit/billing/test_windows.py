"""Rate-limit slices: exact counts in a window, void after it."""

from tt_billing.domain.book import Book, Grant, KeyWindow
from tt_billing.domain.windows import (
    WINDOW_MS,
    RateRefusal,
    SlicePlan,
    free_slots,
    hand_out,
    limits_left,
    plan_slices,
    slices_granted,
    take_back,
    window_with_terms,
)
from tt_common.contracts.grants import KeyTerms, ShrinkGrant, Slices

NOW = 1_700_000_000_000


def given_key(**limits: int) -> tuple[Book, KeyWindow]:
    book = Book(NOW, 0)
    terms = KeyTerms(key_id="k", account_id="a", revision=1, **limits)
    return book, window_with_terms(book, terms)


def given_grant(book: Book, name: str) -> Grant:
    grant = Grant(grant_id=name, account_id="a", key_id="k", edge_id="e", boot_epoch="b", month="2023-11")
    book.grants[name] = grant
    return grant


def give(book: Book, window: KeyWindow, grant: Grant, need: Slices, now: int = NOW) -> None:
    plan = plan_slices(window, need, Slices(), now)
    assert isinstance(plan, SlicePlan)
    hand_out(book, window, grant, plan, now)


def test_a_window_begins_with_the_first_request_and_ends_after_a_minute() -> None:
    book, window = given_key(requests_per_minute=2)
    grant = given_grant(book, "g")
    give(book, window, grant, Slices(requests=2))
    refused = plan_slices(window, Slices(requests=1), Slices(), NOW + WINDOW_MS - 1)
    assert isinstance(refused, RateRefusal)
    assert refused.error.data == {"limit_kind": "requests", "limit": 2, "retry_after_s": 1}
    assert slices_granted(window, grant, NOW + WINDOW_MS) == Slices()
    give(book, window, grant, Slices(requests=2), NOW + WINDOW_MS)
    assert (window.window, window.requests_out, grant.slice_requests) == (2, 2, 2)


def test_a_key_is_not_refused_for_minutes_after_the_clock_was_put_back() -> None:
    # given a window that is used up, begun by a clock ten minutes ahead
    book, window = given_key(requests_per_minute=2)
    grant = given_grant(book, "g")
    give(book, window, grant, Slices(requests=2), NOW + 600_000)
    # when the clock is put right
    plan = plan_slices(window, Slices(requests=1), Slices(), NOW)
    # then a new window begins; one that another process's clock began a moment ahead stays
    assert isinstance(plan, SlicePlan)
    assert plan.begins_window
    assert isinstance(plan_slices(window, Slices(requests=1), Slices(), NOW + 599_000), RateRefusal)


def test_a_shrink_frees_what_is_unused_and_an_old_window_frees_nothing() -> None:
    book, window = given_key(requests_per_minute=10, tokens_per_minute=100)
    grant = given_grant(book, "g")
    give(book, window, grant, Slices(requests=6, tokens=90))
    shrink = ShrinkGrant(
        grant_id="g",
        account_id="a",
        key_id="k",
        given_back_nanousd=0,
        window=1,
        given_back=Slices(requests=2),
        requests_seen=6,
    )
    take_back(book, window, grant, shrink, NOW)
    take_back(book, window, grant, shrink, NOW)
    assert limits_left(window, NOW) == Slices(requests=6, tokens=10)
    give(book, window, grant, Slices(requests=1), NOW + WINDOW_MS)
    take_back(book, window, grant, shrink, NOW + WINDOW_MS)
    assert window.requests_out == 1


def test_giving_back_more_than_was_handed_out_frees_no_more_than_that() -> None:
    book, window = given_key(tokens_per_minute=100, concurrency=4)
    grant, other = given_grant(book, "g"), given_grant(book, "other")
    give(book, window, grant, Slices(tokens=30, concurrency=1))
    give(book, window, other, Slices(tokens=50, concurrency=2))
    back = Slices(tokens=200, concurrency=9)
    shrink = ShrinkGrant(
        grant_id="g", account_id="a", key_id="k", given_back_nanousd=0, window=1, given_back=back, requests_seen=0
    )
    take_back(book, window, grant, shrink, NOW)
    assert limits_left(window, NOW) == Slices(tokens=50, concurrency=2)


def test_a_lowered_limit_hands_out_nothing_until_it_fits() -> None:
    book, window = given_key(concurrency=5)
    grant = given_grant(book, "g")
    give(book, window, grant, Slices(concurrency=5))
    window_with_terms(book, KeyTerms(key_id="k", account_id="a", revision=2, concurrency=2))
    window_with_terms(book, KeyTerms(key_id="k", account_id="a", revision=1, concurrency=50))
    assert isinstance(plan_slices(window, Slices(concurrency=1), Slices(), NOW), RateRefusal)
    plan = plan_slices(window, Slices(), Slices(concurrency=4), NOW)
    assert isinstance(plan, SlicePlan)
    assert plan.give == Slices()
    free_slots(book, window, grant)
    assert isinstance(plan_slices(window, Slices(concurrency=2), Slices(), NOW), SlicePlan)


def test_the_end_of_a_grant_never_gives_its_requests_twice() -> None:
    book, window = given_key(requests_per_minute=3, concurrency=3)
    grant = given_grant(book, "g")
    give(book, window, grant, Slices(requests=3, concurrency=3))
    free_slots(book, window, grant)
    assert limits_left(window, NOW) == Slices(requests=0, concurrency=3)
