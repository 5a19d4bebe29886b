"""The files of internal teams that NATS includes, before there is a team."""

import sys
from pathlib import Path

import pytest

from tt_common.teams.__main__ import main


def test_the_files_that_nats_includes_are_made_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["teams", "--create", "--folder", str(tmp_path)])

    assert main() == 0
    assert {path.name for path in tmp_path.iterdir()} == {"teams.conf", "teams.json"}

    # given a team that was made since
    (tmp_path / "teams.json").write_text('{"a": {"name": "a", "password": "x", "owner_password": "y"}}')

    # when the step runs again, then it keeps it
    assert main() == 0
    assert "TEAM_a" in (tmp_path / "teams.conf").read_text()
