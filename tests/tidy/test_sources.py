"""How every Python file reads: size, docstrings, nothing unfinished, no service that imports another."""

import ast
import re
import sys
from collections.abc import Iterator

import pytest

from tests.tidy.project import name, sources, text, tree

LINES_WANTED = 300
LINES_MAX = 400
PACKAGES = {"edge": "tt_edge", "billing": "tt_billing", "deposits": "tt_deposits", "console-api": "tt_console"}
# Those that answer on a terminal.
COMMANDS = re.compile(r"__main__\.py$|/tt_common/deploy\.py$|/tt_sandbox/stack/|^tests/bench/|^tests/tidy/")
DOCUMENTED = re.compile(r"^libs/|^services/.*/domain/")
# Spelled so that this file is not found by its own search.
UNFINISHED = re.compile(r"\bTO[D]O\b|\bFIX[M]E\b|\bNot[I]mplementedError\b")

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def test_no_file_is_longer_than_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    lengths = {name(path): text(path).count("\n") for path in sources()}

    long = [f"{path} ({lines} lines)" for path, lines in lengths.items() if lines > LINES_WANTED]
    if long:
        with capsys.disabled():
            sys.stdout.write(f"\nlonger than the {LINES_WANTED} lines we aim for: {', '.join(long)}\n")

    assert [path for path, lines in lengths.items() if lines > LINES_MAX] == []


def test_every_module_says_what_it_is_for() -> None:
    mute = [name(path) for path in sources() if text(path).strip() and not ast.get_docstring(tree(path))]

    assert mute == []


def test_empty_modules_are_not_packages_without_a_purpose() -> None:
    empty = [name(path) for path in sources("libs", "services") if not text(path).strip()]

    assert empty == []


def test_public_names_of_libraries_and_domains_are_documented() -> None:
    # A name that explains itself needs no docstring; what takes or gives something unobvious does, and so do all classes.
    documented = [path for path in sources("libs", "services") if DOCUMENTED.search(name(path))]
    mute = [
        f"{name(path)}:{definition.lineno} {definition.name}"
        for path in documented
        for definition in _public(tree(path))
        if not ast.get_docstring(definition) and not _explains_itself(definition)
    ]

    assert mute == []


def test_only_commands_print() -> None:
    printing = [
        f"{name(path)}:{node.lineno}"
        for path in sources("libs", "services")
        if not COMMANDS.search(name(path))
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]

    assert printing == []


def test_nothing_is_left_unfinished() -> None:
    found = [
        f"{name(path)}:{number} {line.strip()}"
        for path in sources()
        for number, line in enumerate(text(path).splitlines(), 1)
        if UNFINISHED.search(line)
    ]

    assert found == []


def test_no_exception_is_passed_over() -> None:
    found = [
        f"{name(path)}:{node.lineno}"
        for path in sources()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and _catches_all(node) and _does_nothing(node.body)
    ]

    assert found == []


def test_no_service_imports_another() -> None:
    found = [
        f"{name(path)} imports {module}"
        for service, package in PACKAGES.items()
        for path in sources(f"services/{service}")
        for module in _imports(tree(path))
        if module.partition(".")[0] in {*PACKAGES.values(), "tt_sandbox"} - {package}
    ]

    assert found == []


def test_common_code_imports_no_service() -> None:
    found = [
        f"{name(path)} imports {module}"
        for path in sources("libs")
        for module in _imports(tree(path))
        if module.partition(".")[0] in PACKAGES.values()
    ]

    assert found == []


def _public(module: ast.Module) -> Iterator[Definition]:
    """Top-level functions and classes, and the methods of those classes, that are named without an underscore."""
    for node in module.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (
                    item for item in node.body if isinstance(item, Definition) and not item.name.startswith("_")
                )


def _explains_itself(definition: Definition) -> bool:
    """A function of one or two statements, or a record that is nothing but its annotated fields."""
    if isinstance(definition, ast.ClassDef):
        return all(isinstance(item, ast.AnnAssign) for item in definition.body)
    return len(definition.body) <= 2


def _catches_all(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or (
        isinstance(handler.type, ast.Name) and handler.type.id in ("Exception", "BaseException")
    )


def _does_nothing(body: list[ast.stmt]) -> bool:
    return all(
        isinstance(item, ast.Pass | ast.Continue)
        or (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))
        for item in body
    )


def _imports(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
