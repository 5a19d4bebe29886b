"""What every generator has in common: a file that must hold a given text, and `--write`.

A generator gives texts by path; it never edits anything else.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.tidy.project import ROOT

Texts = Mapping[Path, str]


def outdated(texts: Texts) -> list[str]:
    """The files whose text differs, or that are missing, by their path in the project."""
    return [
        path.relative_to(ROOT).as_posix()
        for path, wanted in texts.items()
        if not path.exists() or path.read_text() != wanted
    ]


def main(generate: Callable[[], Texts], description: str | None) -> int:
    """The command of a generator: lists what is out of date, or writes it. Exit status 1 where something was and still is."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--write", action="store_true", help="write what differs")
    write: bool = parser.parse_args().write
    texts = generate()
    differing = outdated(texts)
    for name in differing:
        sys.stdout.write(f"{'written' if write else 'out of date'}: {name}\n")
        if write:
            (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / name).write_text(texts[ROOT / name])
    return 1 if differing and not write else 0


def run(generate: Callable[[], Texts], description: str | None) -> None:
    """`main` as the end of a module."""
    sys.exit(main(generate, description))
