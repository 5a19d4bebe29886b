"""The journal keeps what was started and settled, takes only what it can keep, and lets go of what billing has."""

import time
from pathlib import Path

import pytest

from tests.unit.edge.journal.samples import call, settle
from tt_common.clock import monotonic_s
from tt_edge.domain.event_ids import uncharged_id
from tt_edge.journal import journal as journal_module
from tt_edge.journal.folders import Folder, claim
from tt_edge.journal.journal import Journal, JournalFull
from tt_edge.journal.scan import scan

SMALL_SEGMENT = 16 * 1024
SMALL_RESERVE = 2 * 1024


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return claim(tmp_path)


def test_what_was_written_is_read_after_a_crash(folder: Folder) -> None:
    # given three calls of which one is still open
    journal = Journal(folder)
    for name in ("a", "b", "c"):
        journal.started(call(name))
    settle(journal, "a", 100)
    settle(journal, "c", 250)
    # when the process dies (the files are read as they are, nothing was closed)
    [epoch] = scan(folder.path)
    # then both settlements are there in order, and the open call
    assert [(seq, record.event.id) for seq, record in epoch.settled.items()] == [(1, "a"), (2, "c")]
    assert [started.id for started in epoch.unsettled] == ["b"]
    assert (epoch.last_seq, epoch.cost_nanousd, epoch.damaged) == (2, 350, False)
    journal.close()


def test_an_uncharged_idempotent_call_is_settled_under_another_id_and_not_left_unresolved(folder: Folder) -> None:
    # given a call whose own id must stay free for a later charge
    journal = Journal(folder)
    journal.started(call("a"))
    # when it ends without a charge
    settle(journal, uncharged_id("a"), 0, call_id="a")
    # then neither the running journal nor a recovery thinks that it is still open
    assert journal.open_calls == 0
    [epoch] = scan(folder.path)
    assert epoch.unsettled == []
    journal.close()


def test_the_running_epoch_is_not_scanned(folder: Folder) -> None:
    journal = Journal(folder)
    journal.started(call("a"))
    assert scan(folder.path, journal.boot_epoch) == []
    journal.close()


def test_covered_events_are_forgotten_and_their_value_with_them(folder: Folder) -> None:
    journal = Journal(folder)
    for name, cost in (("a", 1), ("b", 20), ("c", 300)):
        journal.started(call(name))
        settle(journal, name, cost)
    assert (journal.depth, journal.unsettled_nanousd) == (3, 321)
    journal.covered(2)
    assert (journal.depth, journal.unsettled_nanousd) == (1, 300)
    journal.covered(1)
    assert journal.watermark == 2
    journal.close()


def test_only_events_sent_long_enough_ago_are_due_again(folder: Folder) -> None:
    journal = Journal(folder)
    first, second, third = (settle(journal, name) for name in ("a", "b", "c"))
    first.sent_at_s -= 60
    second.sent_at_s -= 60
    second.queued = True
    assert journal.uncovered_sent_before(monotonic_s() - 30, 10) == [first]
    third.sent_at_s -= 60
    assert journal.uncovered_sent_before(monotonic_s() - 30, 1) == [first]
    journal.close()


def test_a_clean_end_leaves_no_files_and_an_unclean_one_leaves_all(tmp_path: Path) -> None:
    clean, unclean = Journal(claim(tmp_path)), Journal(claim(tmp_path))
    for journal in (clean, unclean):
        journal.started(call("a"))
        settle(journal, "a")
    clean.covered(1)
    clean.close(epoch_closed=True)
    unclean.close(epoch_closed=True)
    assert scan(clean.folder.path) == []
    assert len(scan(unclean.folder.path)[0].settled) == 1


def _fill(journal: Journal, names: list[str], upto: int) -> None:
    for name in names[:upto]:
        journal.started(call(name))
        settle(journal, name, 7)


def _wait_for(condition: object, timeout_s: float = 5.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


def _segments(journal: Journal) -> list[str]:
    return sorted(path.name for path in journal.folder.path.glob("*.log"))


def test_covered_segments_are_deleted_and_the_totals_survive_them(folder: Folder) -> None:
    # given many segments' worth of settled calls
    journal = Journal(folder, SMALL_SEGMENT, SMALL_RESERVE)
    names = [f"call{number}" for number in range(200)]
    _fill(journal, names, 200)
    assert len(_segments(journal)) > 5
    # when billing has settled all but the last
    journal.covered(199)
    # then what is left is the segment in use and the spare, and the epoch's totals are still known
    _wait_for(lambda: len(_segments(journal)) <= 3)
    [epoch] = scan(folder.path)
    assert (epoch.last_seq, epoch.cost_nanousd, epoch.missing, epoch.unsettled) == (200, 1400, [], [])
    assert epoch.base_seq > 0
    journal.close()


def test_a_long_call_does_not_keep_segments_for_ever_and_is_not_forgotten(folder: Folder) -> None:
    # given a call that stays open while many others come and go
    journal = Journal(folder, SMALL_SEGMENT, SMALL_RESERVE)
    journal.started(call("long"))
    for number in range(300):
        _fill(journal, [f"call{number}"], 1)
        journal.covered(number + 1)
    # then the segments don't pile up, and a crash now would still find it
    _wait_for(lambda: len(_segments(journal)) <= journal_module.CARRY_AFTER_SEGMENTS + 2)
    assert [started.id for started in scan(folder.path)[0].unsettled] == ["long"]
    # and once it is settled, it counts as settled
    settle(journal, "long")
    assert scan(folder.path)[0].unsettled == []
    journal.close()


def test_a_full_disk_refuses_new_calls_but_settles_all_that_were_taken(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a disk that gives no more space once the journal is open
    journal = Journal(folder, 64 * 1024, SMALL_RESERVE)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    # when calls are started until one is refused
    taken: list[str] = []
    with pytest.raises(JournalFull) as refused:
        for number in range(10_000):
            journal.started(call(f"call{number}"))
            taken.append(f"call{number}")
    # then it is refused with its code, and every call that was taken can be settled, with a large event too
    assert refused.value.code == "journal_unavailable"
    assert len(taken) > 10
    for name in taken:
        settle(journal, name, padding="x" * 3000)
    [epoch] = scan(folder.path)
    assert [record.event.id for record in epoch.settled.values()] == taken
    assert epoch.unsettled == []
    journal.close()


def test_calls_are_taken_again_when_the_disk_has_room_again(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(folder, 32 * 1024, SMALL_RESERVE)
    with monkeypatch.context() as patched:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patched.setattr("os.posix_fallocate", full)
        with pytest.raises(JournalFull):
            for number in range(10_000):
                _fill(journal, [f"call{number}"], 1)
    _wait_for(lambda: _takes(journal))
    journal.close()


def test_what_a_failing_disk_refused_is_written_when_it_works_again(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given two calls under way, and a disk that takes no byte when the first of them is settled
    journal = Journal(folder)
    journal.started(call("a"))
    journal.started(call("b"))
    with monkeypatch.context() as patched:

        def refuse(*_: object) -> None:
            raise OSError(5, "Input/output error")

        patched.setattr("os.write", refuse)
        settle(journal, "a", 100)
        # then nothing new is taken, and the event is in memory alone
        assert not journal.write_again()
        with pytest.raises(JournalFull):
            journal.started(call("c"))
        assert journal.depth == 1
    # when it works again
    assert journal.write_again()
    # then a crash finds the call settled, not to be told of a second time
    [epoch] = scan(folder.path)
    assert [(seq, record.event.id) for seq, record in epoch.settled.items()] == [(1, "a")]
    assert ([started.id for started in epoch.unsettled], epoch.cost_nanousd) == (["b"], 100)
    journal.started(call("c"))
    journal.close()


def test_a_segment_begun_while_the_disk_failed_still_says_what_came_before_it(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given two settled events, and a call that is settled while the disk takes no byte
    journal = Journal(folder)
    _fill(journal, ["a", "b"], 2)
    journal.started(call("c"))
    before, first = journal.cost_nanousd, _segments(journal)[0]
    with monkeypatch.context() as patched:

        def refuse(*_: object) -> None:
            raise OSError(5, "Input/output error")

        patched.setattr("os.write", refuse)
        settle(journal, "c", 100)
    # when the disk works again, billing has the first two, and their segment goes
    assert journal.write_again()
    journal.covered(3)
    _wait_for(lambda: first not in _segments(journal))
    # then what is left tells the sum of all
    [epoch] = scan(folder.path)
    assert (epoch.base_seq, epoch.last_seq, epoch.cost_nanousd) == (2, 3, before + 100)
    assert epoch.missing == []
    journal.close()


def _takes(journal: Journal) -> bool:
    try:
        journal.started(call("again"))
    except JournalFull:
        return False
    return True


def test_too_many_uncovered_events_stop_admission(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "UNCOVERED_MAX", 3)
    journal = Journal(folder)
    _fill(journal, ["a", "b", "c"], 3)
    with pytest.raises(JournalFull):
        journal.started(call("d"))
    journal.covered(1)
    journal.started(call("d"))
    journal.close()
