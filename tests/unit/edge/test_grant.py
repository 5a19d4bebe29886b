"""One grant's arithmetic: what is free, what a hold takes, what a shrink gives back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_common.contracts.grants import GrantReply, KeyTerms, ShrinkGrant, Slices
from tt_edge.credit.grants import Grant

UNLIMITED = KeyTerms(key_id="key_1", account_id="acc_1", revision=1)
LIMITED = KeyTerms(
    key_id="key_1", account_id="acc_1", revision=1, requests_per_minute=10, tokens_per_minute=1000, concurrency=2
)


def reply(amount: int, revision: int = 1, window: int = 1, slices: Slices | None = None) -> GrantReply:
    return GrantReply(
        grant_id="grt",
        revision=revision,
        granted_nanousd=amount,
        soft_ttl_s=30,
        hard_ttl_s=60,
        available_nanousd=0,
        slices=slices or Slices(),
        window=window,
        window_remaining_s=20,
    )


def opened(amount: int, terms: KeyTerms = UNLIMITED, slices: Slices | None = None) -> Grant:
    grant = Grant("grt", terms, 0.0)
    grant.revision = 1
    grant.apply(reply(amount, slices=slices), 0.0)
    return grant


def test_a_hold_takes_from_what_is_free_and_settling_frees_the_rest() -> None:
    # given
    grant = opened(100)
    hold = grant.reserve("h", 60, 0, 1.0)
    assert hold is not None
    assert grant.reserve("h2", 41, 0, 1.0) is None

    # when
    grant.settle(hold, 25, 0, 2.0)

    # then
    assert (grant.free_nanousd, grant.spent_nanousd, grant.events, grant.holds) == (75, 25, 1, 0)


def test_a_released_hold_leaves_no_trace() -> None:
    grant = opened(100, LIMITED, Slices(requests=1, tokens=50, concurrency=1))
    hold = grant.reserve("h", 60, 50, 1.0)
    assert hold is not None
    grant.release(hold, 1.0)
    assert (grant.free_nanousd, grant.events, grant.used_requests, grant.used_tokens, grant.in_use) == (100, 0, 0, 0, 0)


def test_nothing_is_admitted_before_the_first_answer_or_after_the_soft_expiry() -> None:
    fresh = Grant("grt", UNLIMITED, 0.0)
    assert fresh.reserve("h", 0, 0, 1.0) is None
    grant = opened(100)
    assert grant.reserve("h", 1, 0, 29.9) is not None
    assert grant.reserve("h", 1, 0, 30.0) is None


def test_each_limit_needs_its_slice() -> None:
    # given one slot, three requests and 100 tokens in hand
    grant = opened(1000, LIMITED, Slices(requests=3, tokens=100, concurrency=1))
    hold = grant.reserve("h", 1, 60, 1.0)
    assert hold is not None

    # then the next call lacks a slot and tokens, and after the end of the first only what it really used is gone
    assert grant.missing_slices(60, 1.0) == Slices(tokens=20, concurrency=1)
    assert grant.reserve("h2", 1, 60, 1.0) is None
    grant.settle(hold, 1, 10, 1.0)
    assert grant.missing_slices(90, 1.0) == Slices()
    assert grant.reserve("h2", 1, 90, 1.0) is not None


def test_a_new_window_starts_from_nothing_but_slots_stay_in_use() -> None:
    # given a call that runs over the end of its window
    grant = opened(1000, LIMITED, Slices(requests=5, tokens=500, concurrency=2))
    hold = grant.reserve("h", 1, 400, 1.0)
    assert hold is not None
    assert grant.missing_slices(10, 20.0) == Slices(requests=1, tokens=10)

    # when the next window comes, and then the call ends
    grant.revision = 2
    grant.apply(reply(1000, 2, window=2, slices=Slices(requests=2, tokens=100, concurrency=2)), 21.0)
    assert grant.in_use == 1
    grant.settle(hold, 1, 450, 22.0)

    # then the new window is untouched
    assert (grant.used_requests, grant.used_tokens, grant.in_use) == (0, 0, 0)


def test_a_shrink_keeps_what_is_spent_and_reserved() -> None:
    # given a grant with a settled and a running call
    grant = opened(100, LIMITED, Slices(requests=5, tokens=500, concurrency=2))
    first, running = grant.reserve("a", 10, 100, 1.0), grant.reserve("b", 30, 100, 1.0)
    assert first is not None
    assert running is not None
    grant.settle(first, 7, 50, 1.0)

    # when
    shrink = grant.shrink(final=False)

    # then nothing is free here any more, and the running call stays covered
    assert (shrink.given_back_nanousd, shrink.requests_seen, shrink.window) == (63, 5, 1)
    assert (shrink.given_back, shrink.final_events) == (Slices(requests=3, tokens=350, concurrency=1), None)
    assert grant.slices_in_hand() == Slices(requests=2, tokens=150, concurrency=1)
    assert grant.free_nanousd == 0
    assert grant.reserve("c", 1, 0, 1.0) is None
    grant.settle(running, 30, 100, 2.0)
    final = grant.shrink(final=True)
    assert (final.final_events, final.given_back_nanousd, grant.spent_nanousd) == (2, 63, 37)
    assert not grant.admits(3.0)


def test_usage_beyond_the_hold_is_spent_all_the_same() -> None:
    grant = opened(100)
    hold = grant.reserve("h", 100, 0, 1.0)
    assert hold is not None
    grant.settle(hold, 130, 0, 1.0)
    assert grant.free_nanousd == -30
    assert grant.reserve("h2", 1, 0, 1.0) is None
    assert grant.shrink(final=False).given_back_nanousd == 0
    assert grant.spent_nanousd == 130


@pytest.mark.parametrize(("extra", "grows"), [(40, True), (41, False)])
def test_a_hold_grows_from_what_is_free(extra: int, grows: bool) -> None:
    grant = opened(100)
    hold = grant.reserve("h", 60, 0, 1.0)
    assert hold is not None
    assert grant.grow(hold, extra) is grows
    assert hold.amount_nanousd == (60 + extra if grows else 60)
    assert grant.reserved_nanousd == hold.amount_nanousd


STEPS = ("change", "answer", "reserve", "settle", "shrink", "deliver")


class Line:
    """Grant and billing with a connection that delays, reorders and repeats: shrinks arrive when and as often as it likes."""

    def __init__(self) -> None:
        self.grant = Grant("grt", UNLIMITED, 0.0)
        self.granted = self.back = 0
        self.reply: GrantReply | None = None
        self.shrinks: list[ShrinkGrant] = []

    def change(self, need: int) -> None:
        """Billing carries out what was asked; the answer is under way. One change at a time."""
        if self.reply is None:
            self.grant.revision += 1
            self.granted += need
            self.reply = reply(self.granted, self.grant.revision)

    def answer(self, *, lost: bool = False) -> None:
        """The answer of the change arrives, and again where its first copy was thought to be lost."""
        if self.reply is not None:
            for _ in range(1 + lost):
                self.grant.apply(self.reply, 0.0)
            self.reply = None

    def take(self, shrink: ShrinkGrant) -> None:
        self.back = max(self.back, shrink.given_back_nanousd)


@given(st.data(), st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 3000)), max_size=60))
def test_in_any_order_of_changes_and_shrinks_both_sides_end_with_the_same_amount(
    data: st.DataObject, steps: list[tuple[str, int]]
) -> None:
    # given any sequence of change, answer, reserve, settle (within the hold), shrink (told sooner or later) and delivery
    line, holds = Line(), []
    for kind, size in steps:
        if kind == "change":
            line.change(size)
        elif kind == "answer":
            line.answer(lost=size % 2 == 0)
        elif kind == "reserve" and (hold := line.grant.reserve("h", size, 0, 1.0)) is not None:
            holds.append(hold)
        elif kind == "settle" and holds:
            hold = holds.pop(size % len(holds))
            line.grant.settle(hold, min(size, hold.amount_nanousd), 0, 1.0)
        elif kind == "shrink":
            line.shrinks.append(line.grant.shrink(final=False))
        elif kind == "deliver" and line.shrinks:
            line.take(data.draw(st.sampled_from(line.shrinks)))

        # then billing holds at least what is spent and reserved, at every moment
        assert line.granted - line.back >= line.grant.spent_nanousd + line.grant.reserved_nanousd
        assert line.grant.free_nanousd >= 0

    # and when all has arrived, in whatever order, both sides have the same
    line.answer()
    for shrink in data.draw(st.permutations(line.shrinks)):
        line.take(shrink)
    assert (line.granted, line.back) == (line.grant.granted_nanousd, line.grant.back_nanousd)
    final = line.grant.shrink(final=True)
    assert line.granted - final.given_back_nanousd == line.grant.spent_nanousd + line.grant.reserved_nanousd


@given(st.integers(0, 10_000), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3000), st.integers(0, 3000))))
def test_whatever_happens_holds_and_spending_stay_within_the_amount(
    amount: int, steps: list[tuple[int, int, int]]
) -> None:
    # given any sequence of reserve, settle (within the hold), release and grow
    grant = opened(amount)
    holds = []
    for kind, first, second in steps:
        if kind == 0 and (hold := grant.reserve("h", first, 0, 1.0)) is not None:
            holds.append(hold)
        elif kind == 1 and holds:
            hold = holds.pop(first % len(holds))
            grant.settle(hold, min(second, hold.amount_nanousd), 0, 1.0)
        elif kind == 2 and holds:
            grant.release(holds.pop(first % len(holds)), 1.0)
        elif kind == 3 and holds:
            grant.grow(holds[first % len(holds)], second)

        # then
        assert grant.reserved_nanousd == sum(hold.amount_nanousd for hold in holds)
        assert grant.holds == grant.in_use == len(holds)
        assert grant.spent_nanousd + grant.reserved_nanousd <= amount
