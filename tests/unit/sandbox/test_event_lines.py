"""How `make events` words an event."""

import json

from tests.tidy.event_samples import sample
from tt_common.contracts.event_types import EVENT_TYPES, EventType
from tt_sandbox.stack.event_lines import as_json, as_line
from tt_sandbox.stack.events import is_of_type

KINDS = {kind.name: kind for kind in EVENT_TYPES}


def headers(kind: EventType) -> dict[str, str]:
    return {"ce-type": kind.name, "ce-time": "2026-01-01T12:00:01.840Z", "ce-subject": "acc_1", "ce-id": "1"}


def test_every_type_of_event_is_one_line_without_escapes_where_colours_are_off() -> None:
    for kind in EVENT_TYPES:
        line = as_line(headers(kind), sample(kind), colours=False)

        assert line.startswith(f"12:00:01.840  {kind.name}")
        assert "\n" not in line
        assert "\x1b" not in line


def test_a_calls_line_has_model_outcome_tokens_cost_and_seconds() -> None:
    kind = KINDS["usage.v1"]

    line = as_line(headers(kind), sample(kind), colours=False)

    assert line.endswith("gpt-4o-mini  succeeded  200  input 120 cache_read 1024 output 85  $0.0001458  1.84 s")


def test_money_is_shown_in_dollars_and_what_went_wrong_in_red() -> None:
    kind = KINDS["billing.wallet_overdrawn.v1"]

    line = as_line(headers(kind), sample(kind), colours=True)

    assert "\x1b[31mavailable -$0.0012" in line
    assert line.endswith("\x1b[0m")


def test_a_program_gets_the_attributes_and_the_data() -> None:
    kind = KINDS["usage.v1"]

    event = json.loads(as_json("usage.v1.acc_1", headers(kind), sample(kind)))

    assert (event["type"], event["subject"], event["id"]) == ("usage.v1", "acc_1", "1")
    assert event["nats_subject"] == "usage.v1.acc_1"
    assert event["data"] == sample(kind)


def test_a_type_is_meant_by_its_family_its_word_or_its_whole_name() -> None:
    for wanted in ("billing", "wallet_low", "billing.wallet_low.v1"):
        assert is_of_type("billing.wallet_low.v1", wanted)
    for other in ("usage", "wallet", "identity"):
        assert not is_of_type("billing.wallet_low.v1", other)
