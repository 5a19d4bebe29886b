"""Reading decoded JSON bodies field by field, with errors that name the field as the client knows it."""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from tt_edge.domain.refusals import invalid_request
from tt_edge.protocols.bodies import value_of

Json = dict[str, Any]
Kind = TypeVar("Kind")


def decoded(fields: dict[str, msgspec.Raw]) -> Json:
    """The body, without the fields that are null. Raises invalid_request naming the field."""
    body = {name: value_of(raw, name) for name, raw in fields.items()}
    return {name: value for name, value in body.items() if value is not None}


def check_known(body: Json, known: Iterable[str], prefix: str = "") -> None:
    """Raises invalid_request for the first field that is not one of `known`: it can't be translated."""
    for name in body:
        if name not in known:
            path = f"{prefix}{name}"
            raise invalid_request(f"'{path}' can't be translated for this model; leave it out.", path)


def object_at(value: Any, path: str) -> Json:
    """Raises invalid_request unless it is an object."""
    if not isinstance(value, dict):
        raise invalid_request(f"'{path}' must be an object.", path)
    return value


def list_at(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise invalid_request(f"'{path}' must be an array.", path)
    return value


def text_at(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise invalid_request(f"'{path}' must be a string.", path)
    return value


def number_at(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise invalid_request(f"'{path}' must be a number.", path)
    return value


def integer_at(value: Any, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid_request(f"'{path}' must be an integer.", path)
    return value


def bool_at(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise invalid_request(f"'{path}' must be true or false.", path)
    return value


def one_of(value: Any, path: str, allowed: Iterable[str]) -> str:
    """Raises invalid_request with the list of what is allowed."""
    choices = list(allowed)
    if value not in choices:
        raise invalid_request(f"'{path}' must be one of {', '.join(choices)}.", path)
    return str(value)


def data_url(url: str) -> tuple[str, str] | None:
    """Media type and base64 data of a `data:` URL; None for any other URL."""
    if not url.startswith("data:"):
        return None
    head, _, data = url[5:].partition(",")
    return head.removesuffix(";base64"), data


def only(value: Any, kinds: tuple[type[Kind], ...], path: str, rule: str) -> Kind:
    """The value, which must be of one of the kinds. Raises invalid_request with the rule otherwise."""
    if not isinstance(value, kinds):
        raise invalid_request(f"'{path}': {rule}.", path)
    return value
