"""What the sandbox says and how it counts. Deterministic and cheap.

A token is a run of non-blank characters with the blanks that follow it (a leading run of blanks counts as one); a
message costs four more, an image 85, as much as OpenAI's low-detail image. No vendor counts like this: tests that need
a figure set it with the `prompt_tokens` and `output_tokens` switches.
"""

# Foreign JSON is walked here; its parts have no static type.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

import re
from functools import lru_cache
from typing import Any

import orjson

MESSAGE_TOKENS = 4
IMAGE_TOKENS = 85
SCHEMA_DEPTH_MAX = 8
GREETING = "Hello from the sandbox provider. Everything between you and this answer is real."
WORDS = (
    "the quick brown fox jumps over a lazy dog and writes another plain sentence while nobody is watching it".split()
)

_TOKEN = re.compile(r"\S+\s*|\s+")
_PLAUSIBLE = {"city": "Paris", "location": "Paris", "country": "France", "date": "2025-01-31", "unit": "celsius"}


def split_tokens(text: str) -> list[str]:
    """The tokens of a text; joined they are the text again."""
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    """The number of tokens of a text, without splitting it by regular expression."""
    return len(text.split())


@lru_cache(maxsize=256)
def words(count: int) -> tuple[str, ...]:
    """Exactly `count` tokens of filler text."""
    return tuple(WORDS[index % len(WORDS)] + " " for index in range(count))


def example_text(schema: dict[str, Any]) -> str:
    """A value that the schema accepts, as JSON text with blanks that give a stream places to break."""
    return spaced_json(_example(schema, "", schema, 0))


def spaced_json(value: Any) -> str:
    """JSON text with blanks after commas and colons."""
    # Blanks after commas and colons give the stream places to break.
    return orjson.dumps(value).decode().replace('":', '": ').replace(',"', ', "')


def _example(schema: Any, name: str, root: dict[str, Any], depth: int) -> Any:
    """A small value that a JSON schema accepts; covers what SDKs generate, not the whole standard."""
    if not isinstance(schema, dict) or depth > SCHEMA_DEPTH_MAX:
        return None
    if "$ref" in schema:
        return _example(_resolve(str(schema["$ref"]), root), name, root, depth + 1)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return _example(schema[key][0], name, root, depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0]
    if isinstance(kind, str):
        kind = kind.lower()  # Gemini's schemas write OBJECT
    if kind == "object" or "properties" in schema:
        return {key: _example(part, key, root, depth + 1) for key, part in (schema.get("properties") or {}).items()}
    if kind == "array":
        return [_example(schema.get("items"), name, root, depth + 1)] * max(1, schema.get("minItems", 1))
    scalars: dict[Any, Any] = {
        "integer": schema.get("minimum", 1),
        "number": schema.get("minimum", 1.5),
        "boolean": True,
    }
    return scalars.get(kind, _PLAUSIBLE.get(name, "example"))


def _resolve(reference: str, root: dict[str, Any]) -> Any:
    node: Any = root
    for step in reference.removeprefix("#/").split("/"):
        node = node.get(step) if isinstance(node, dict) else None
    return root if reference == "#" else node
