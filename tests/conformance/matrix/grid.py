"""The matrix itself: which cells there are, how one runs, and the table in docs/protocols.md of what was found.

A table is written by the run that found it, so it is never older than the last whole run.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.conformance.matrix.cases import BREAKING, CASES, STREAMED_ONLY, Cell
from tests.conformance.matrix.talk import Failed, Sdk
from tests.support.console import ConsoleUser
from tests.support.product import Product

PAGE: Final = Path(__file__).parents[3] / "docs" / "protocols.md"
DIALECTS: Final = {"openai": "gpt-5-matrix", "anthropic": "claude-matrix", "gemini": "gemini-3-matrix"}
"""By dialect: the upstream model, named so that the sandbox is as strict as with the vendor's newest."""
DOCUMENTED_400: Final[dict[tuple[str, str, str], str]] = {}
"""By SDK, dialect and case: the field that the 400 names."""


class Place(NamedTuple):
    """Of a cell."""

    case: str
    sdk: str
    dialect: str
    stream: bool


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Some SDKs' cells, and what was found in those that ran."""

    title: str
    """In the marks around its table."""
    sdks: tuple[str, ...]
    cases: tuple[str, ...] = tuple(CASES)
    whole: frozenset[str] = frozenset(CASES) - STREAMED_ONLY
    """Cases that are also asked without a stream."""
    found: dict[Place, str] = field(default_factory=dict[Place, str], init=False)

    def places(self) -> Iterator[Place]:
        for case in self.cases:
            for sdk in self.sdks:
                for dialect in DIALECTS:
                    for stream in (False, True) if case in self.whole else (True,):
                        yield Place(case, sdk, dialect, stream)

    def run(self, place: Place, sdk: Sdk, models: dict[str, str], product: Product, user: ConsoleUser) -> None:
        case, _, dialect, stream = place
        if case in sdk.lacks:
            self.found[place] = "no field"
            return
        model, upstream = models[dialect], DIALECTS[dialect]
        if case in BREAKING:
            upstream = f"{upstream}-{secrets.token_hex(4)}"
            model = product.new_model(routes=[{"provider": f"matrix-{dialect}", "upstream_model": upstream}])
        cell = Cell(sdk, dialect, model, upstream, stream, product, user)
        refused = DOCUMENTED_400.get((sdk.name, dialect, case))
        self.found[place] = "fails"
        try:
            if refused is None:
                CASES[case](cell)
                self.found[place] = "yes"
            else:
                with pytest.raises(Failed, match=refused) as failed:
                    CASES[case](cell)
                assert failed.value.status == 400
                self.found[place] = f"400: {refused}"
        finally:
            cell.undo()

    def write(self) -> None:
        """Puts what was found into the page, and is red where a cell failed."""
        if len(self.found) < len(list(self.places())):
            pytest.skip("only a part of the matrix was run")
        begin, end = f"<!-- {self.title}: written by the test run -->", f"<!-- end of the {self.title} -->"
        page = PAGE.read_text()
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        assert after, f"{PAGE.name} has no place for the {self.title}"
        whole = f"{before}{begin}\n\n{self.table()}\n{end}{after}"
        if whole != page:
            PAGE.write_text(whole)
        assert "fails" not in self.table()

    def table(self) -> str:
        """Rows are cases; a cell tells what a whole and a streamed answer did where they differ."""
        columns = [(sdk, dialect) for sdk in self.sdks for dialect in DIALECTS]
        heads = [f"{sdk} → {dialect}" for sdk, dialect in columns]
        lines = [f"| case | {' | '.join(heads)} |", f"| --- |{' --- |' * len(heads)}"]
        for case in self.cases:
            row: list[str] = []
            for sdk, dialect in columns:
                places = (Place(case, sdk, dialect, stream) for stream in (False, True))
                row.append(" / ".join(sorted({self.found[place] for place in places if place in self.found})))
            lines.append(f"| {case} | {' | '.join(row)} |")
        return "\n".join(lines) + "\n"
