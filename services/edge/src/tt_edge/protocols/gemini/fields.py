"""Reading Gemini's objects: names in camel or snake case, null as absent, and every name known or refused."""

from typing import Any, Final

from tt_edge.protocols.canonical.read import Json, check_known, object_at
from tt_edge.protocols.gemini.request import listed

NEUTRAL: Final[tuple[Any, ...]] = (None, False, [], "")
"""Values that ask for nothing. An empty object may ask for much: `{"googleSearch": {}}` is a tool."""


def camel(name: str) -> str:
    """`generation_config` as `generationConfig`."""
    head, *words = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in words) if head else name


def fields_of(value: Any, path: str, known: frozenset[str], ignored: frozenset[str] = frozenset()) -> Json:
    """The object's fields in camel case, without null ones. Raises invalid_request for a name that is not `known`, unless it asks for
    nothing or is one of the `ignored`, which are left out."""
    found = {camel(name): item for name, item in object_at(value, path).items() if item is not None}
    kept = {name: item for name, item in found.items() if name in known or not (name in ignored or item in NEUTRAL)}
    check_known(kept, known, f"{path}." if path else "")
    return kept


def items_at(value: Any, path: str) -> list[tuple[Any, str]]:
    """The items of a list, or the one that stands for it, each with its path."""
    return [(item, f"{path}[{at}]") for at, item in enumerate(listed(value, path))]
