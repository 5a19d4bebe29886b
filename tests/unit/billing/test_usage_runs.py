"""The ranges in which the record is asked for sequences."""

from hypothesis import given
from hypothesis import strategies as st

from tt_billing.store.usage_events import RUN_GAP_MAX, runs_of

SEQUENCES = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 60)), max_size=40)


@given(SEQUENCES)
def test_runs_cover_every_sequence_and_little_else(sequences: list[tuple[str, int]]) -> None:
    runs = runs_of(sequences)
    covered = [(epoch, seq) for epoch, first, last in runs for seq in range(first, last + 1)]
    assert set(sequences) <= set(covered)
    assert len(covered) == len(set(covered)) <= RUN_GAP_MAX * len(set(sequences))


def test_a_batch_in_order_is_one_run_an_epoch() -> None:
    assert runs_of([("a", 3), ("b", 8), ("a", 1), ("a", 2), ("b", 9)]) == [("a", 1, 3), ("b", 8, 9)]
