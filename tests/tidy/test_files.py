"""What no file of the project may hold, and what must fit together: requirements, links, `make help`."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.tidy.project import ROOT, files, name, text

# Character classes keep these patterns from finding themselves.
MACHINE_PATH = re.compile(r"(?<![\w.{}<>$*-])/(?:work|root|home|Users)/[\w.-]")
REGISTRY_HOST = re.compile(
    r"pypi[.]org|pythonhosted[.]org|registry[.]npmjs[.]org|registry[.]yarnpkg[.]com|index[.]docker[.]io|proxy[.]golang[.]org"
)
LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)")
REQUIREMENT = re.compile(r"^[A-Za-z0-9][\w.\[\],-]*==\S+")
# Targets that other targets need and nobody calls.
INTERNAL_TARGETS = {"installed", "node-packages"}


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY_HOST], ids=["machine path", "registry host"])
def test_no_file_names_this_machine_or_a_registry(pattern: re.Pattern[str]) -> None:
    found = [
        f"{name(path)}:{number} {match.group()}"
        for path in files()
        for number, line in enumerate(text(path).splitlines(), 1)
        if (match := pattern.search(line))
    ]

    assert found == []


def test_every_requirement_is_locked_with_a_hash_and_names_no_index() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        lines = [line for line in text(path).splitlines() if line and not line.startswith("#")]
        requirements = "\n".join(lines).replace("\\\n", "").splitlines()

        assert [line for line in requirements if "://" in line or "index-url" in line] == [], name(path)
        assert [line for line in requirements if not REQUIREMENT.match(line)] == [], name(path)
        assert [line for line in requirements if "--hash=sha256:" not in line] == [], name(path)


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{name(path)} -> {target}"
        for path in files()
        if path.suffix == ".md"
        for target in LINK.findall(text(path))
        if not re.match(r"[a-z]+:", target) and not _leads_somewhere(path.parent, path, target)
    ]

    assert broken == []


def test_make_help_lists_every_target() -> None:
    makefile = text(ROOT / "Makefile").replace("\\\n", " ")
    phony = {target for line in re.findall(r"^\.PHONY:(.*)$", makefile, re.MULTILINE) for target in line.split()}
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))

    shown = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = {line.split()[1] for line in shown.splitlines()}

    assert listed == targets - INTERNAL_TARGETS
    assert listed <= phony


def _leads_somewhere(folder: Path, path: Path, target: str) -> bool:
    file_part, _, anchor = target.partition("#")
    aim = (folder / file_part) if file_part else path
    if not aim.exists():
        return False
    return not anchor or aim.suffix != ".md" or anchor in _anchors(aim)


def _anchors(path: Path) -> set[str]:
    """The anchors that headings get: lower case, blanks to hyphens, punctuation gone."""
    headings = re.findall(r"^#+ +(.+?) *$", text(path), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
