"""Events cut out of bytes: any split gives the same ones, and a large event costs time in proportion to its size."""

import itertools
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tt_edge.protocols.sse import FRAME_BYTES_MAX, LARGE_BYTES, FrameSplitter, FrameTooLarge

PIECES = st.sampled_from(
    [b"data: a", bytes(LARGE_BYTES + 1), b"\n", b"\r\n", b"\r", b"\n\n", b"event: x", b"", b"\xff"]
)


@example(pieces=[b"\r", b"\r\n", b"\r", b"\r\n"], cuts=[6])  # the half of a line end in front of a whole one
@given(
    pieces=st.lists(PIECES, max_size=20),
    cuts=st.lists(st.integers(0, 100) | st.integers(0, 4 * LARGE_BYTES), max_size=12),
)
def test_any_split_gives_the_same_events(pieces: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(pieces)
    whole, split = FrameSplitter(), FrameSplitter()
    expected = whole.feed(stream)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]

    frames = [frame for start, end in itertools.pairwise(places) for frame in split.feed(stream[start:end])]

    assert (frames, split.rest()) == (expected, whole.rest())


def test_a_large_event_is_not_joined_anew_with_every_chunk() -> None:
    def cpu_s(size_bytes: int) -> float:
        splitter, chunk, began = FrameSplitter(), bytes(16 * 1024), time.process_time()
        for _ in range(size_bytes // len(chunk)):
            splitter.feed(chunk)
        [frame] = splitter.feed(b"\n\n")
        assert len(frame) == size_bytes + 2
        return time.process_time() - began

    assert min(cpu_s(12 << 20) for _ in range(3)) < 0.2  # joined with every chunk it takes seconds


def test_an_event_without_an_end_is_too_large() -> None:
    splitter = FrameSplitter()
    with pytest.raises(FrameTooLarge):
        for _ in range(FRAME_BYTES_MAX // 65_536 + 1):
            splitter.feed(bytes(65_536))
