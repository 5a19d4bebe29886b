"""JSON schemas as OpenAI's strict mode takes them: every object closed, every property required. Knows no endpoint."""

# Foreign JSON is walked here; its parts have no static type.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

from typing import Any

from tt_sandbox.provider.dialect import RequestRefused

DEPTH_MAX = 10


def check_strict(schema: Any, what: str, param: str) -> None:
    """`what` names the schema as the vendor does: `function 'f'`. Raises RequestRefused."""
    _check(schema, what, param, ())


def _check(schema: Any, what: str, param: str, path: tuple[str, ...]) -> None:
    if not isinstance(schema, dict):
        return
    if len(path) > DEPTH_MAX * 2:
        raise _refused(what, param, path, f"schema exceeds maximum nesting depth of {DEPTH_MAX}")
    properties = schema.get("properties")
    if schema.get("type") == "object" or isinstance(properties, dict):
        if schema.get("additionalProperties") is not False:
            raise _refused(what, param, path, "'additionalProperties' is required to be supplied and to be false")
        names = list(properties) if isinstance(properties, dict) else []
        required = schema.get("required")
        if left_out := [name for name in names if name not in (required or ())]:
            reason = "'required' is required to be supplied and to be an array including every key in properties"
            raise _refused(what, param, path, f"{reason}. Missing '{left_out[0]}'")
    for key in ("properties", "$defs", "definitions"):
        for name, part in (schema.get(key) or {}).items():
            _check(part, what, param, (*path, key, name))
    _check(schema.get("items"), what, param, (*path, "items"))
    for index, part in enumerate(schema.get("anyOf") or ()):
        _check(part, what, param, (*path, "anyOf", str(index)))


def _refused(what: str, param: str, path: tuple[str, ...], reason: str) -> RequestRefused:
    message = f"Invalid schema for {what}: In context={path!r}, {reason}."
    return RequestRefused(
        message, code="invalid_json_schema" if "format" in param else "invalid_function_parameters", param=param
    )
