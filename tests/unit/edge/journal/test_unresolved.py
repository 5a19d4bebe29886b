"""Calls that nobody settled get the same unresolved events however often, and wherever, the recovery is interrupted."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.edge.journal.samples import call, settle
from tt_edge.domain.event_ids import unresolved_id
from tt_edge.journal import segment
from tt_edge.journal.folders import claim
from tt_edge.journal.journal import Journal
from tt_edge.journal.scan import Epoch, append_unresolved, scan


def _crashed(root: Path) -> Journal:
    """An epoch with two settled calls and three that are open."""
    journal = Journal(claim(root), 64 * 1024, 2 * 1024)
    for name in ("a", "b", "c", "d", "e"):
        journal.started(call(name))
    settle(journal, "b", 10)
    settle(journal, "d", 20)
    journal.close()
    return journal


def _events(epoch: Epoch) -> dict[int, bytes]:
    return {seq: record.encoded for seq, record in epoch.settled.items()}


def test_open_calls_become_unresolved_events_that_cost_nothing(tmp_path: Path) -> None:
    journal = _crashed(tmp_path)
    [epoch] = scan(journal.folder.path)
    append_unresolved(journal.folder.path, journal.edge_id, epoch)
    made = [epoch.settled[seq].event for seq in (3, 4, 5)]
    assert [event.id for event in made] == [unresolved_id(name) for name in ("a", "c", "e")]
    assert {(event.outcome, event.cost_nanousd, event.usage_source) for event in made} == {("unresolved", 0, "none")}
    assert (epoch.last_seq, epoch.cost_nanousd, epoch.unsettled) == (5, 30, [])


def test_after_that_a_scan_finds_nothing_open(tmp_path: Path) -> None:
    journal = _crashed(tmp_path)
    [epoch] = scan(journal.folder.path)
    append_unresolved(journal.folder.path, journal.edge_id, epoch)
    [again] = scan(journal.folder.path)
    assert again.unsettled == []
    assert _events(again) == _events(epoch)


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(0, 1500))
def test_a_crash_at_any_byte_of_it_changes_nothing(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    # given a recovery that was cut off while writing
    journal = _crashed(tmp_path_factory.mktemp("journal"))
    [epoch] = scan(journal.folder.path)
    append_unresolved(journal.folder.path, journal.edge_id, epoch)
    with epoch.segments[-1].open("r+b") as file:
        file.truncate(cut)
    # when it is done again
    [again] = scan(journal.folder.path)
    append_unresolved(journal.folder.path, journal.edge_id, again)
    # then the same events are there, byte by byte
    assert _events(again) == _events(epoch)


def test_on_a_full_disk_the_spare_segment_takes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = _crashed(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    [epoch] = scan(journal.folder.path)
    append_unresolved(journal.folder.path, journal.edge_id, epoch)
    [again] = scan(journal.folder.path)
    assert (again.last_seq, again.unsettled) == (5, [])


def test_gaps_from_damage_are_filled_first(tmp_path: Path) -> None:
    # given an epoch whose second event is unreadable, so that only the open calls and what follows are known
    journal = Journal(claim(tmp_path), 16 * 1024, 2 * 1024)
    journal.started(call("open"))
    for number in range(60):
        journal.started(call(f"call{number}"))
        settle(journal, f"call{number}")
    journal.close()
    first = segment.segments_of(journal.folder.path)[journal.boot_epoch][0]
    content = bytearray(first.read_bytes())
    last = content.rfind(b'"edge_seq"')
    content[last + 2] ^= 1
    first.write_bytes(content)
    # when it is read and resolved
    [epoch] = scan(journal.folder.path)
    assert epoch.damaged
    [gap, *_] = epoch.missing
    append_unresolved(journal.folder.path, journal.edge_id, epoch)
    # then the gap is filled and nothing is numbered twice
    assert epoch.settled[gap].event.outcome == "unresolved"
    assert epoch.missing == []
