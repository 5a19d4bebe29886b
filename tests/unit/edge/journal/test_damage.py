"""Whatever happens to a journal file, every record before the damage is read, and nothing is invented after it."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tt_edge.journal import segment
from tt_edge.journal.segment import SegmentWriter, frame

PAYLOADS = st.lists(st.binary(max_size=200), min_size=1, max_size=20)
KINDS = (segment.HEADER, segment.STARTED, segment.SETTLED)


def _write(folder: str, payloads: list[bytes]) -> tuple[Path, list[tuple[int, bytes]], list[int]]:
    writer = SegmentWriter(Path(folder) / "e-00000001.log", 16 * 1024)
    records = [(KINDS[number % 3], payload) for number, payload in enumerate(payloads)]
    ends: list[int] = []
    for kind, payload in records:
        writer.append(frame(kind, payload))
        ends.append(writer.offset)
    writer.close()
    return writer.path, records, ends


@settings(max_examples=150, deadline=None)
@given(payloads=PAYLOADS, data=st.data())
def test_a_file_cut_at_any_byte_gives_the_records_before_the_cut(payloads: list[bytes], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, records, ends = _write(folder, payloads)
        cut = data.draw(st.integers(0, ends[-1]))
        with path.open("r+b") as file:
            file.truncate(cut)
        read, _ = segment.read(path)
        assert read == records[: sum(end <= cut for end in ends)]


@settings(max_examples=150, deadline=None)
@given(payloads=PAYLOADS, data=st.data())
def test_a_flipped_bit_ends_the_reading_at_its_record(payloads: list[bytes], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, records, ends = _write(folder, payloads)
        offset = data.draw(st.integers(0, ends[-1] - 1))
        content = bytearray(path.read_bytes())
        content[offset] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
        read, damaged = segment.read(path)
        whole = sum(end <= offset for end in ends)
        assert read == records[:whole]
        assert damaged


@settings(max_examples=50, deadline=None)
@given(payloads=PAYLOADS)
def test_a_whole_file_is_read_whole(payloads: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, records, _ = _write(folder, payloads)
        assert segment.read(path) == (records, False)
