"""Generated files are what their generators give: `make generate` brings them up to date."""

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator

from tests.tidy import asyncapi, event_samples, nats_users, openapi, schemas, settings_tables
from tests.tidy.generated import outdated
from tt_common.contracts import events
from tt_common.contracts.event_types import EVENT_STREAMS, EVENT_TYPES


@pytest.mark.parametrize("service", settings_tables.SETTINGS)
def test_every_service_has_a_readme(service: str) -> None:
    assert settings_tables.readme(service).is_file()


@pytest.mark.parametrize("service", settings_tables.SETTINGS)
def test_every_setting_is_explained(service: str) -> None:
    fields = settings_tables.SETTINGS[service].model_fields

    assert [name for name, info in fields.items() if not info.description] == []


def test_settings_tables_match_the_settings() -> None:
    assert outdated(settings_tables.generate()) == []


def test_every_event_has_a_schema_and_a_wire_name() -> None:
    assert schemas.declared() == {kind.data for kind in EVENT_TYPES}


def test_a_wire_name_is_the_one_that_the_events_docstring_gives() -> None:
    assert [kind.name for kind in EVENT_TYPES if f"`{kind.name}`" not in (kind.data.__doc__ or "")] == []


def test_every_field_of_an_event_is_described() -> None:
    published = {kind.name: schemas.schema(kind.name, kind.data)["$defs"] for kind in EVENT_TYPES}

    assert [
        f"{name}: {struct}.{field}"
        for name, definitions in published.items()
        for struct, definition in definitions.items()
        for field, description in definition["properties"].items()
        if not description.get("description")
    ] == []


def test_every_event_is_published_where_its_stream_listens() -> None:
    for kind in EVENT_TYPES:
        tokens = re.sub(r"{\w+}", "x", kind.subject).split(".")
        assert any(
            len(tokens) == len(listens := subject.split("."))
            and all(wanted in ("*", token) for token, wanted in zip(tokens, listens, strict=True))
            for subject in kind.stream.subjects
        ), kind.name


def test_event_schemas_match_the_contract_and_no_other_lies_beside_them() -> None:
    wanted = schemas.generate()

    assert outdated(wanted) == []
    assert set(schemas.FOLDER.glob("*")) == set(wanted)


def test_the_nats_users_of_configuration_and_documents_are_those_of_the_contract() -> None:
    assert outdated(nats_users.generate()) == []


def test_the_consoles_api_document_matches_its_routes() -> None:
    assert outdated(openapi.generate()) == []


def test_the_asyncapi_document_matches_the_contract() -> None:
    assert outdated(asyncapi.generate()) == []


def test_the_events_page_has_a_valid_sample_of_every_event() -> None:
    assert outdated(event_samples.generate()) == []
    for kind in EVENT_TYPES:
        validator = Draft202012Validator(schemas.schema(kind.name, kind.data))
        assert list(validator.iter_errors(event_samples.sample(kind))) == []


def test_the_events_page_explains_every_outcome() -> None:
    page = event_samples.FILE.read_text()

    assert [outcome for outcome in get_args(events.Outcome) if f"| `{outcome}` |" not in page] == []


def test_every_reference_in_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi.document()

    for reference in _references(document):
        file, _, pointer = reference.partition("#")
        if file:
            assert (asyncapi.FILE.parent / file).is_file(), reference
            continue
        target: Any = document
        for step in pointer.strip("/").split("/"):
            target = target[step]


def test_the_asyncapi_document_has_a_channel_an_operation_and_a_message_for_every_event() -> None:
    document = asyncapi.document()
    names = {kind.name for kind in EVENT_TYPES}

    assert {message["name"] for message in document["components"]["messages"].values()} == names
    assert {channel["address"] for channel in document["channels"].values()} == {kind.subject for kind in EVENT_TYPES}
    assert len(document["operations"]) == len(names)
    assert set(document["x-nats-streams"]) == {spec.name for spec in EVENT_STREAMS}
    for channel in document["channels"].values():
        assert set(re.findall(r"{(\w+)}", channel["address"])) == set(channel["parameters"])
        assert channel["x-nats-stream"] in document["x-nats-streams"]


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
