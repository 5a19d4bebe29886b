"""A figure of a measure that is not taken in rounds: what the edge does, what is aimed for, and what the others do."""

from collections.abc import Sequence
from dataclasses import dataclass

HEADER = "| measure | edge | aim | passthrough | provider alone |\n| --- | --- | --- | --- | --- |"


@dataclass(frozen=True)
class Finding:
    """Texts for people; `value` is the edge's figure for machines, in the unit of its name."""

    name: str
    title: str
    edge: str
    value: float
    aim: str = "–"
    passthrough: str = "–"
    provider: str = "–"

    def row(self) -> str:
        return f"| {self.title} | **{self.edge}** | {self.aim} | {self.passthrough} | {self.provider} |"


def findings_table(found: Sequence[Finding]) -> str:
    return "\n".join([HEADER, *(finding.row() for finding in found)])
