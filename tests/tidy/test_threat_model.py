"""The threat model names tests: each of them exists, and is a test."""

import re

from tests.tidy.project import ROOT

PAGE = ROOT / "docs" / "threat-model.md"
TEST = re.compile(r"`(tests/[a-z0-9_/]+\.py)`")


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = TEST.findall(PAGE.read_text())

    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).is_file() or "def test_" not in (ROOT / name).read_text()] == []
