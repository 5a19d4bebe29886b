"""Ids sort by time, have the right form, and derived ones are functions of their parts."""

import time
import uuid

from hypothesis import given
from hypothesis import strategies as st

from tt_common.ids import derived_event_id, new_event_id, new_id, sha256_hex, uuid7_hex

PARTS = st.lists(st.text(st.characters(exclude_characters="\x1f", exclude_categories=["Cs"])), min_size=1, max_size=4)


def test_a_uuid7_has_version_variant_and_the_present_time() -> None:
    # given / when
    before_ms = time.time_ns() // 1_000_000
    made = uuid.UUID(uuid7_hex())
    after_ms = time.time_ns() // 1_000_000

    # then
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert before_ms <= made.int >> 80 <= after_ms


def test_ids_of_later_milliseconds_sort_later_and_none_repeats() -> None:
    # given ids made in three different milliseconds
    made: list[str] = []
    for _ in range(3):
        made.append(new_event_id())
        time.sleep(0.002)

    # then
    assert made == sorted(made)
    assert len({new_id("grt") for _ in range(10_000)}) == 10_000
    assert new_id("grt").startswith("grt_")


def test_a_derived_id_is_the_same_tomorrow() -> None:
    # given a value that events in the wild already carry / then it never changes
    assert derived_event_id("grant_lost", "grt_1", "5") == "bf6cb925-132d-88a3-ac0d-84c5207e7eab"


@given(PARTS, PARTS)
def test_derived_ids_are_equal_only_for_equal_parts(first: list[str], second: list[str]) -> None:
    assert (derived_event_id(*first) == derived_event_id(*second)) == (first == second)
    assert uuid.UUID(derived_event_id(*first)).version == 8


def test_keys_are_stored_by_their_sha256() -> None:
    assert sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
