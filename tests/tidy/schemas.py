"""The JSON Schema of every event, for those who subscribe without our code. `python -m tests.tidy.schemas --write`.

Made from `tt_common.contracts`; a file is named after the event's type on the wire, descriptions are the fields' docstrings.
Objects are open: a subscriber must take fields that it doesn't know.
"""

import ast
import inspect
import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from tests.tidy.generated import run
from tests.tidy.project import ROOT
from tt_common import rating
from tt_common.contracts import deposit_events, events
from tt_common.contracts.event_types import EVENT_TYPES

FOLDER = ROOT / "docs" / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
EVENTS = (events, deposit_events)
DOCUMENTED = (*EVENTS, rating)


def generate() -> dict[Path, str]:
    """The schemas by file."""
    return {
        FOLDER / f"{kind.name}.json": json.dumps(schema(kind.name, kind.data), indent=2, ensure_ascii=False) + "\n"
        for kind in EVENT_TYPES
    }


def schema_id(name: str) -> str:
    """A name that stays when files move; it is no address."""
    return f"urn:tokentally:schema:{name}"


def schema(name: str, kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The schema of one type of event."""
    made = msgspec.json.schema(kind)
    for struct, definition in made["$defs"].items():
        definition["description"] = _prose(definition["description"])
        definition["additionalProperties"] = True
        for field, text in descriptions()[struct].items():
            definition["properties"][field]["description"] = text
    return {"$schema": DIALECT, "$id": schema_id(name), "title": name, **made}


def declared() -> set[type[msgspec.Struct]]:
    """Every event that the contract modules declare: the structs with an id."""
    return {
        kind
        for module in EVENTS
        for kind in vars(module).values()
        if inspect.isclass(kind) and issubclass(kind, msgspec.Struct)
        if "id" in kind.__struct_fields__ and kind.__module__ == module.__name__
    }


@cache
def descriptions() -> dict[str, dict[str, str]]:
    """The docstrings of fields, by class and field: each is the text right below its field."""
    found: dict[str, dict[str, str]] = {}
    for module in DOCUMENTED:
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = {
                    field.target.id: below.value.value
                    for field, below in zip(node.body, node.body[1:], strict=False)
                    if isinstance(field, ast.AnnAssign)
                    and isinstance(field.target, ast.Name)
                    and isinstance(below, ast.Expr)
                    and isinstance(below.value, ast.Constant)
                    and isinstance(below.value.value, str)
                }
    return found


def _prose(docstring: str) -> str:
    return " ".join(docstring.split())


if __name__ == "__main__":
    run(generate, __doc__)
