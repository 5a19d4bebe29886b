"""Generated files are what their generators give: `make generate` brings them up to date."""

import pytest

from tests.tidy import openapi, schemas, settings_tables
from tests.tidy.generated import outdated


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
    assert schemas.declared() == set(schemas.EVENTS.values())


def test_a_wire_name_is_the_one_that_the_events_docstring_gives() -> None:
    assert [name for name, kind in schemas.EVENTS.items() if f"`{name}`" not in (kind.__doc__ or "")] == []


def test_event_schemas_match_the_contract_and_no_other_lies_beside_them() -> None:
    wanted = schemas.generate()

    assert outdated(wanted) == []
    assert set(schemas.FOLDER.glob("*")) == set(wanted)


def test_the_consoles_api_document_matches_its_routes() -> None:
    assert outdated(openapi.generate()) == []
