"""What comes off the wire is an event that can be stored, or poison."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.billing.events import usage_event
from tt_billing.domain.intake import PoisonEvent, Traces, decode_usage, traces_of


def test_an_event_is_read_back_as_it_was_written() -> None:
    event = usage_event(5)
    assert decode_usage(msgspec.json.encode(event)) == event


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "no uuid"},
        {"edge_seq": 0},
        {"edge_seq": 2**60},
        {"cost_nanousd": 2**63},
        {"account_id": ""},
        {"account_id": "acc 1"},
        {"account_id": "acc.*"},
        {"key_id": "a\x00b"},
        {"model": "m" * 1000},
    ],
)
def test_what_no_row_can_hold_is_poison(fields: dict[str, object]) -> None:
    with pytest.raises(PoisonEvent):
        decode_usage(msgspec.json.encode(msgspec.structs.replace(usage_event(5), **fields)))


@given(st.binary(max_size=200))
def test_any_bytes_are_poison_and_never_an_error(payload: bytes) -> None:
    with pytest.raises(PoisonEvent):
        decode_usage(payload)
    traces_of(payload)


def test_epoch_sequence_and_grant_are_saved_where_they_can_be_read() -> None:
    assert traces_of(b'{"boot_epoch":"b","edge_seq":7,"grant_id":"g","x":[]}') == Traces(
        boot_epoch="b", edge_seq=7, grant_id="g"
    )
    assert traces_of(b'{"boot_epoch":"b","edge_seq":7,"grant_id":3}') == Traces(boot_epoch="b", edge_seq=7)
    for text in (b"[]", b"7", b'{"boot_epoch":"b"}', b'{"boot_epoch":"b","edge_seq":true}'):
        assert traces_of(text) == Traces()
