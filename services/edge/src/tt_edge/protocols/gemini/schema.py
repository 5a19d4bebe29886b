"""JSON Schema in the words of Gemini's own schemas, a subset of OpenAPI's, for models that don't take JSON Schema itself; and back.

One name that Gemini doesn't know refuses the whole request, so what has no words is left out: a schema tells the model what to write,
and leaving out a limit allows more, never less. References are put in place; one that goes round ends as an object of any kind.
"""

from typing import Any, Final

Json = dict[str, Any]
DEPTH_MAX: Final = 32
NODES_MAX: Final = 10_000
"""References put in place can multiply; what comes after so many is an object of any kind."""
KEPT: Final = frozenset(
    {
        "title",
        "description",
        "default",
        "minItems",
        "maxItems",
        "minLength",
        "maxLength",
        "minProperties",
        "maxProperties",
        "pattern",
        "minimum",
        "maximum",
    }
)
FORMATS: Final = {
    "STRING": frozenset({"enum", "date-time"}),
    "INTEGER": frozenset({"int32", "int64"}),
    "NUMBER": frozenset({"float", "double"}),
}
COUNTS: Final = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
WORDS: Final = {
    "any_of": "anyOf",
    "prefix_items": "prefixItems",
    "property_ordering": "propertyOrdering",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "additional_properties": "additionalProperties",
    "defs": "$defs",
    "ref": "$ref",
}
"""Google's other spellings."""
TYPES: Final = frozenset({"string", "number", "integer", "boolean", "array", "object"})


def gemini_schema(schema: Json) -> Json:
    """The schema in Gemini's words."""
    return _Translator(schema).node(schema, (), 0)


class _Translator:
    """Walks one schema; `root` is where references point into."""

    def __init__(self, root: Json) -> None:
        self._root = root
        self._nodes = 0

    def node(self, schema: Any, references: tuple[str, ...], depth: int) -> Json:
        self._nodes += 1
        if not isinstance(schema, dict):
            return {"type": "STRING"}  # true and false: anything
        if depth > DEPTH_MAX or self._nodes > NODES_MAX:
            return {"type": "OBJECT"}
        if "$ref" in schema:
            return self._referred(schema, references, depth)
        if isinstance(schema.get("allOf"), list):
            merged = _merged([schema, *schema["allOf"]])
            return self.node(merged, references, depth + 1)
        found: Json = {name: value for name, value in schema.items() if name in KEPT}
        self._add_type(found, schema, references, depth)
        return found

    def _referred(self, schema: Json, references: tuple[str, ...], depth: int) -> Json:
        name = str(schema["$ref"])
        target = self._at(name)
        if name in references or target is None:
            described = {"description": schema["description"]} if "description" in schema else {}
            return {"type": "OBJECT", **described}
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return self.node({**target, **beside}, (*references, name), depth + 1)

    def _at(self, name: str) -> Json | None:
        found: Any = self._root
        for step in name.removeprefix("#").split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            found = found.get(key) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else None

    def _add_type(self, found: Json, schema: Json, references: tuple[str, ...], depth: int) -> None:
        choices = schema.get("anyOf") or schema.get("oneOf")
        kinds = schema.get("type")
        if isinstance(kinds, list):
            named = [kind for kind in kinds if kind != "null"]
            if len(named) < len(kinds):
                found["nullable"] = True
            if len(named) > 1:
                choices = [{**schema, "type": kind} for kind in named]
            kinds = named[0] if named else None
        if schema.get("nullable") is True:
            found["nullable"] = True
        if isinstance(choices, list):
            self._add_choices(found, choices, references, depth)
            return
        kind = kinds.lower() if isinstance(kinds, str) else None
        if kind not in TYPES:
            kind = _guessed(schema)
        found["type"] = kind.upper()
        if schema.get("format") in FORMATS.get(found["type"], ()):
            found["format"] = schema["format"]
        _add_values(found, schema)
        if kind == "object":
            self._add_properties(found, schema, references, depth)
        elif kind == "array":
            items = schema.get("items", schema.get("prefixItems"))
            if isinstance(items, list):
                items = {"anyOf": items} if items else True
            found["items"] = self.node(items, references, depth + 1)

    def _add_choices(self, found: Json, choices: list[Any], references: tuple[str, ...], depth: int) -> None:
        told = [choice for choice in choices if not (isinstance(choice, dict) and choice.get("type") == "null")]
        if len(told) < len(choices):
            found["nullable"] = True
        nodes = [self.node(choice, references, depth + 1) for choice in told]
        if not nodes:
            found["type"] = "STRING"
        elif len(nodes) == 1:
            found.update({**nodes[0], **found})
        else:
            found["anyOf"] = nodes

    def _add_properties(self, found: Json, schema: Json, references: tuple[str, ...], depth: int) -> None:
        properties = schema.get("properties")
        if not isinstance(properties, dict) or not properties:
            return
        found["properties"] = {name: self.node(value, references, depth + 1) for name, value in properties.items()}
        required = schema.get("required")
        if isinstance(required, list) and (known := [name for name in required if name in properties]):
            found["required"] = known
        found["propertyOrdering"] = list(properties)


def _add_values(found: Json, schema: Json) -> None:
    """`enum`, and `const` as one of one value; Gemini has them for strings alone, others are said in words."""
    values = schema.get("enum")
    if "const" in schema:
        values = [schema["const"]]
    if not isinstance(values, list) or not values:
        return
    texts = [value for value in values if value is not None]
    if len(texts) < len(values):
        found["nullable"] = True
    if found["type"] == "STRING" and all(isinstance(value, str) for value in texts):
        found["enum"] = texts
        return
    said = f"One of: {', '.join(map(str, texts))}."
    found["description"] = f"{found['description']} {said}" if found.get("description") else said


def _guessed(schema: Json) -> str:
    if "properties" in schema or "additionalProperties" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    values = schema.get("enum")
    sample = values[0] if isinstance(values, list) and values else schema.get("const")
    if isinstance(sample, bool):
        return "boolean"
    return "integer" if isinstance(sample, int) else "number" if isinstance(sample, float) else "string"


def _merged(schemas: list[Any]) -> Json:
    """All of several schemas: properties and what is required together, of the rest the first word."""
    merged: Json = {}
    for schema in schemas:
        if not isinstance(schema, dict):
            continue
        for name, value in schema.items():
            if name == "allOf":
                continue
            known = merged.get(name)
            if name == "properties" and isinstance(known, dict) and isinstance(value, dict):
                merged[name] = {**known, **value}
            elif name == "required" and isinstance(known, list) and isinstance(value, list):
                merged[name] = [*known, *value]
            else:
                merged.setdefault(name, value)
    return merged


def json_schema(schema: Json) -> Json:
    """A schema in Gemini's words as JSON Schema."""
    found: Json = {}
    for raw, value in schema.items():
        name = WORDS.get(raw, raw)
        if name in ("nullable", "propertyOrdering") or value is None:
            continue
        if name == "type" and isinstance(value, str):
            if value.upper() != "TYPE_UNSPECIFIED":
                found["type"] = value.lower()
        elif name == "properties" and isinstance(value, dict):
            found[name] = {key: _inner(inner) for key, inner in value.items()}
        elif name in ("anyOf", "prefixItems") and isinstance(value, list):
            found[name] = [_inner(inner) for inner in value]
        elif name == "items":
            found[name] = _inner(value)
        elif name == "example":
            found["examples"] = [value]
        elif name in COUNTS and isinstance(value, str) and value.isdigit():
            found[name] = int(value)  # as 64-bit numbers are written in Google's JSON
        else:
            found[name] = value
    if schema.get("nullable") is True:
        _allow_null(found)
    return found


def _inner(value: Any) -> Any:
    return json_schema(value) if isinstance(value, dict) else value


def _allow_null(found: Json) -> None:
    if "type" in found:
        found["type"] = [found["type"], "null"]
    elif "anyOf" in found:
        found["anyOf"] = [*found["anyOf"], {"type": "null"}]
    if "enum" in found:
        found["enum"] = [*found["enum"], None]
