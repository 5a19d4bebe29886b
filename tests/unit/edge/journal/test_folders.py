"""One journal folder has one holder, over processes too, and keeps its name."""

import subprocess
import sys
from pathlib import Path

from tt_edge.journal.folders import claim, folders, try_claim

HOLD = """
import sys
from pathlib import Path
from tt_edge.journal.folders import claim
held = claim(Path(sys.argv[1]))
print(held.edge_id, flush=True)
sys.stdin.read()
"""


def test_a_free_folder_is_taken_again_so_that_the_edge_keeps_its_id(tmp_path: Path) -> None:
    first = claim(tmp_path)
    first.release()
    assert claim(tmp_path).edge_id == first.edge_id


def test_two_processes_hold_different_folders_and_death_frees_one(tmp_path: Path) -> None:
    # given another process that holds a folder
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = other.stdout.readline().strip()
        # then it can't be had, and a claim gives another one
        assert try_claim(tmp_path / theirs) is None
        ours = claim(tmp_path)
        assert ours.edge_id != theirs
        # when that process is killed
        other.kill()
        other.wait()
    # then its folder is free
    assert try_claim(tmp_path / theirs) is not None


def test_an_empty_folder_is_removed_and_one_with_segments_is_not(tmp_path: Path) -> None:
    empty, full = claim(tmp_path), claim(tmp_path)
    (full.path / "e-00000001.log").write_bytes(b"x")
    empty.remove_if_empty()
    full.remove_if_empty()
    assert folders(tmp_path) == [full.path]
    assert try_claim(full.path) is not None


def test_a_removed_folder_cannot_be_claimed(tmp_path: Path) -> None:
    folder = claim(tmp_path)
    folder.remove_if_empty()
    assert try_claim(folder.path) is None
