"""The project's own files, as git sees them: tracked, or new and not ignored. Never looks into .venv or data."""

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT_BYTES_MAX = 2 * 1024 * 1024


@cache
def files() -> tuple[Path, ...]:
    """Every file, sorted; those that were deleted but not yet recorded as such are left out."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(sorted(path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()))


@cache
def sources(*folders: str) -> tuple[Path, ...]:
    """The Python files below `folders` (all of them without any)."""
    roots = [ROOT / folder for folder in folders] or [ROOT]
    return tuple(path for path in files() if path.suffix == ".py" and any(path.is_relative_to(root) for root in roots))


@cache
def text(path: Path) -> str:
    """A file's text, or nothing where it is not text."""
    if path.stat().st_size > TEXT_BYTES_MAX:
        return ""
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(text(path), str(path))


def name(path: Path) -> str:
    """A path as messages show it."""
    return path.relative_to(ROOT).as_posix()
