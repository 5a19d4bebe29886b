"""What other versions of the services send must stay readable: golden JSON of every event, RPC struct and KV record.

A golden file is written once, when its struct is new, and never changed: a field that is renamed, removed or made required breaks
its test, as it would break a service of the version before. An event's file is named after its type on the wire, version included;
a new version gets a file of its own beside the old one.
"""

import inspect
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from tests.tidy.schemas import FOLDER as SCHEMAS
from tt_common.contracts import deposit_events, deposits, events, grants, records, wallets
from tt_common.contracts.event_types import EVENT_TYPES

GOLDEN = Path(__file__).with_name("golden")
WIRE_NAMES = {kind.data: kind.name for kind in EVENT_TYPES}
STRUCTS: dict[str, type[msgspec.Struct]] = {
    WIRE_NAMES.get(struct, f"{module.__name__.rpartition('.')[2]}.{name}"): struct
    for module in (events, deposit_events, deposits, grants, records, wallets)
    for name, struct in vars(module).items()
    if inspect.isclass(struct) and issubclass(struct, msgspec.Struct) and struct.__module__ == module.__name__
}


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes()


def with_unknown_fields(value: Any) -> Any:
    """The same JSON with a field of a later version in every object that has fields."""
    if isinstance(value, list):
        return [with_unknown_fields(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {**{key: with_unknown_fields(item) for key, item in value.items()}, "field_of_a_later_version": ["x"]}


def without_free_form(name: str, value: Any) -> Any:
    """Objects of any content keep the unknown field, so they are compared without it."""
    if isinstance(value, dict):
        return {key: without_free_form(name, item) for key, item in value.items() if key != "field_of_a_later_version"}
    return [without_free_form(name, item) for item in value] if isinstance(value, list) else value


def without_later_fields(said: Any, known: Any) -> Any:
    """What was said, as far as the known message has the same fields."""
    if isinstance(said, dict) and isinstance(known, dict):
        return {key: without_later_fields(item, known[key]) for key, item in said.items() if key in known}
    if isinstance(said, list) and isinstance(known, list) and len(said) == len(known):
        return [without_later_fields(item, old) for item, old in zip(said, known, strict=True)]
    return said


def test_every_struct_has_a_golden_file_and_every_file_a_struct() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(STRUCTS)


@pytest.mark.parametrize("name", sorted(STRUCTS))
def test_a_golden_message_decodes_and_says_the_same_when_encoded(name: str) -> None:
    # when
    decoded = msgspec.json.decode(golden(name), type=STRUCTS[name])

    # then nothing of it was lost or renamed; fields that came later may be there too
    said = msgspec.json.decode(msgspec.json.encode(decoded))
    assert without_later_fields(said, msgspec.json.decode(golden(name))) == msgspec.json.decode(golden(name))


@pytest.mark.parametrize("name", sorted(WIRE_NAMES.values()))
def test_a_golden_event_is_what_its_published_schema_says_with_fields_of_a_later_version_too(name: str) -> None:
    # given
    validator = Draft202012Validator(msgspec.json.decode((SCHEMAS / f"{name}.json").read_bytes()))
    event = msgspec.json.decode(golden(name))

    # then
    assert list(validator.iter_errors(event)) == []
    assert list(validator.iter_errors(with_unknown_fields(event))) == []

    # and the schema is no formality
    assert list(validator.iter_errors({field: value for field, value in event.items() if field != "id"})) != []
    assert list(validator.iter_errors({**event, "id": 5})) != []


@pytest.mark.parametrize("name", sorted(STRUCTS))
def test_unknown_fields_are_ignored_at_every_depth(name: str) -> None:
    # given
    wider = msgspec.json.encode(with_unknown_fields(msgspec.json.decode(golden(name))))
    if b'"headers"' in wider:  # free-form, but its values are texts
        wider = wider.replace(b'["x"]', b'"x"')

    # when
    decoded = msgspec.json.decode(wider, type=STRUCTS[name])

    # then
    said = without_free_form(name, msgspec.json.decode(msgspec.json.encode(decoded)))
    plain = msgspec.json.decode(golden(name), type=STRUCTS[name])
    assert said == msgspec.json.decode(msgspec.json.encode(plain))


@pytest.mark.parametrize("name", sorted(STRUCTS))
def test_a_wrong_type_is_refused(name: str) -> None:
    """Types are checked, so a message of another kind is never half understood."""
    fields: dict[str, Any] = msgspec.json.decode(golden(name))
    first = next(iter(fields))
    wrong = msgspec.json.encode({**fields, first: {"not": "that"} if not isinstance(fields[first], dict) else 5})
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(wrong, type=STRUCTS[name])
