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


def count_prompt(messages: list[dict[str, Any]]) -> int:
    """The tokens of a chat's messages, images included."""
    total = 0
    for message in messages:
        total += MESSAGE_TOKENS
        content = message.get("content")
        if isinstance(content, str):
            total += count_tokens(content)
        elif isinstance(content, list):
            for part in content:
                text = part.get("text") if isinstance(part, dict) else None
                total += count_tokens(text) if isinstance(text, str) else IMAGE_TOKENS
    return total


@lru_cache(maxsize=256)
def words(count: int) -> tuple[str, ...]:
    """Exactly `count` tokens of filler text."""
    return tuple(WORDS[index % len(WORDS)] + " " for index in range(count))


def last_user_text(messages: list[dict[str, Any]]) -> str:
    """The text of the last message if a user wrote it, else nothing (a tool's result asks for no further tool)."""
    last = messages[-1] if messages else {}
    if last.get("role") != "user":
        return ""
    content = last.get("content")
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def choose_tool(body: dict[str, Any], messages: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The function to call: the named one, the first if one is required or the user mentions "weather" or "tool"."""
    functions = [tool["function"] for tool in body.get("tools") or () if isinstance(tool.get("function"), dict)]
    choice = body.get("tool_choice")
    if not functions or choice == "none":
        return None
    if isinstance(choice, dict):
        name = (choice.get("function") or {}).get("name")
        return next((function for function in functions if function.get("name") == name), None)
    text = last_user_text(messages).lower()
    return functions[0] if choice == "required" or "weather" in text or "tool" in text else None


def tool_arguments(function: dict[str, Any]) -> str:
    """Arguments that fit the function's parameter schema, as JSON text."""
    schema = function.get("parameters") or {"type": "object"}
    return orjson.dumps(_example(schema, "", schema, 0)).decode()


def example_text(schema: dict[str, Any]) -> str:
    """A value that the schema accepts, as JSON text with blanks that give a stream places to break."""
    return spaced_json(_example(schema, "", schema, 0))


def structured_text(response_format: dict[str, Any] | None) -> str | None:
    """The JSON text that a `response_format` asks for, or None when it asks for none."""
    kind = (response_format or {}).get("type")
    if response_format is None or kind not in ("json_object", "json_schema"):
        return None
    schema = (response_format.get("json_schema") or {}).get("schema") if kind == "json_schema" else None
    value = {"answer": GREETING} if schema is None else _example(schema, "", schema, 0)
    return spaced_json(value)


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
