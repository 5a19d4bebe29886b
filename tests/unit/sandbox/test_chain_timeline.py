"""Heights and times of the sandbox chain, whatever the clock and the settings of its runs do."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_sandbox.chain import timeline
from tt_sandbox.chain.store import Store
from tt_sandbox.chain.timeline import Timeline, TooMuch

START = 1_000
NOW_MS = 1_800_000_000_000


def stamps(line: Timeline, last: int) -> list[int]:
    return [line.timestamp_ms(height) for height in range(START - 5, last + 1)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 0, 7, 1_000, 3_000]),
            st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 30)), max_size=4),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_time_runs_forward_and_the_past_never_changes(runs: list[tuple[int, list[tuple[int, int]]]]) -> None:
    store, now_ms = Store(None), NOW_MS
    told: list[int] = []
    for step_ms, moments in runs:
        line = Timeline(store, step_ms, START, now_ms)
        for wait_ms, count in moments:
            now_ms += wait_ms
            head = line.head(now_ms)
            if step_ms == 0:
                line.make(count, 0, now_ms)
                assert line.head(now_ms) == head + count
        head = line.head(now_ms)
        now = stamps(line, head)
        assert now[: len(told)] == told
        assert all(earlier < later for earlier, later in pairwise(now))
        told = now
    store.close()


def test_blocks_by_time_are_counted_from_the_start() -> None:
    store = Store(None)
    line = Timeline(store, 3_000, START, NOW_MS + 1)

    assert [line.head(NOW_MS + 1), line.head(NOW_MS + 2_999), line.head(NOW_MS + 3_000)] == [START, START, START + 1]
    assert line.timestamp_ms(START) == NOW_MS
    assert line.timestamp_ms(START - 2) == NOW_MS - 6_000
    store.close()


def test_head_never_falls_when_the_clock_does() -> None:
    store = Store(None)
    line = Timeline(store, 1_000, START, NOW_MS)
    head = line.head(NOW_MS + 10_000)

    assert line.head(NOW_MS) == head == START + 10
    store.close()


def test_blocks_by_command_end_now_three_seconds_apart() -> None:
    store = Store(None)
    line = Timeline(store, 0, START, NOW_MS)

    line.make(20, 0, NOW_MS)

    assert [line.timestamp_ms(START + 20 - back) for back in (0, 1, 19)] == [NOW_MS, NOW_MS - 3_000, NOW_MS - 57_000]
    store.close()


def test_commands_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "SPANS_MAX", 2)
    store = Store(None)
    line = Timeline(store, 0, START, NOW_MS)
    line.make(1, 0, NOW_MS)

    with pytest.raises(TooMuch):
        line.make(1, 0, NOW_MS)
    store.close()
