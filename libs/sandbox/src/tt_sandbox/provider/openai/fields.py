"""Reads OpenAI's requests field by field, and refuses in the vendor's words, with `param` and `code`.

Shapes are msgspec structs that know every field of the official SDK's parameter types. The words are those of the vendor's
error messages where they are public; never looks at rules that span fields.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar, cast

import msgspec

from tt_sandbox.provider.dialect import RequestRefused

# In the order of the vendor's own message.
ROLES = "'system', 'assistant', 'user', 'function', 'tool', and 'developer'"
_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
_TYPE_NAMES: dict[str, str] = {
    "str": "a string",
    "int": "an integer",
    "float": "a decimal",
    "bool": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
Wanted = TypeVar("Wanted", bound=msgspec.Struct)


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An object of a request; refuses what it doesn't know."""


def read(form: type[Wanted], body: Mapping[str, Any], *, strict: bool = True) -> Wanted:
    """The body as a form; not strict, strings do for numbers. Raises RequestRefused."""
    try:
        return msgspec.convert(body, form, strict=strict)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), body) from None


def missing(path: str) -> RequestRefused:
    """A field that must be there."""
    return RequestRefused(f"Missing required parameter: '{path}'.", code="missing_required_parameter", param=path)


def unknown(path: str) -> RequestRefused:
    """A field that nobody knows."""
    return RequestRefused(f"Unknown parameter: '{path}'.", code="unknown_parameter", param=path)


def invalid(path: str, reason: str, code: str | None = "invalid_value") -> RequestRefused:
    """A value that is wrong; the reason is a sentence without its full stop."""
    return RequestRefused(f"Invalid '{path}': {reason}.", code=code, param=path)


def _refusal(problem: str, body: Mapping[str, Any]) -> RequestRefused:
    found = cast("re.Match[str]", _WHERE.match(problem))
    what, path = found["what"], found["path"] or ""
    quoted = re.findall(r"`([^`]*)`|'((?:[^'\\]|\\.)*)'", what)
    words: list[str] = [code or text for code, text in quoted]
    if what.startswith("Object missing"):
        return missing(_join(path, words[0]))
    if what.startswith("Object contains unknown"):
        return unknown(_join(path, words[0]))
    if what.startswith("Invalid"):
        supported = f" Supported values are: {ROLES}." if path.endswith("role") else ""
        return RequestRefused(f"Invalid value: '{words[0]}'.{supported}", code="invalid_value", param=path)
    if ", got" in what:
        wanted = " or ".join(_TYPE_NAMES[name] for name in words[0].split(" | ") if name != "null")
        got = _TYPE_NAMES[words[1]]
        message = f"Invalid type for '{path}': expected {wanted}, but got {got} instead."
        return RequestRefused(message, code="invalid_type", param=path)
    return _out_of_bounds(what, words, path, _value_at(body, path))


def _out_of_bounds(what: str, words: list[str], path: str, value: Any) -> RequestRefused:
    if "matching regex" in what:
        reason = f"string does not match pattern. Expected a string that matches the pattern '{words[1]}'"
        return invalid(path, reason)
    kind = {"array": "array", "str": "string", "int": "integer", "float": "decimal"}[words[0]]
    low = ">=" in what
    bound = what.rpartition(" ")[2].removesuffix(".0")
    if kind in ("integer", "decimal"):
        side, sign = ("below minimum", ">=") if low else ("above maximum", "<=")
        reason = f"{kind} {side} value. Expected a value {sign} {bound}, but got {value} instead"
        return invalid(path, reason, f"{kind}_{side.split()[0]}_{side.split()[1][:3]}_value")
    if low:
        reason = f"empty {kind}. Expected a{'n' * (kind == 'array')} {kind} with minimum length {bound}"
        return invalid(path, f"{reason}, but got an empty {kind} instead", f"empty_{kind}")
    article = "an" if kind == "array" else "a"
    reason = f"{kind} too long. Expected {article} {kind} with maximum length {bound}"
    return invalid(
        path, f"{reason}, but got {article} {kind} with length {len(value)} instead", f"{kind}_above_max_length"
    )


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _value_at(body: Any, path: str) -> Any:
    value = body
    for index, name in _STEP.findall(path):
        value = value[int(index)] if index else value.get(name)
    return value
