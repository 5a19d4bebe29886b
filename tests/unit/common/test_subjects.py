"""Names as tokens of KV keys: legal for NATS, and never two names for one token."""

import re

from hypothesis import given
from hypothesis import strategies as st

from tt_common.contracts.records import model_key, price_key, provider_key
from tt_common.contracts.streams import BUCKETS, STREAMS, kv_token

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(NAMES)
def test_any_name_becomes_one_legal_token(name: str) -> None:
    assert re.fullmatch(r"[-_=a-zA-Z0-9]+", kv_token(name))


@given(NAMES)
def test_a_token_can_be_read_back_so_no_two_names_share_one(name: str) -> None:
    raw = re.sub(rb"=([0-9A-F]{2})", lambda match: bytes([int(match[1], 16)]), kv_token(name).encode())
    assert raw.decode() == name


def test_kinds_of_records_never_collide() -> None:
    assert len({model_key("x"), provider_key("x"), price_key("x")}) == 3
    assert model_key("llama-3.1/70b") == "model.llama-3=2E1=2F70b"


def test_every_stream_and_bucket_is_bounded_and_named_once() -> None:
    names = [spec.name for spec in STREAMS] + [spec.stream for spec in BUCKETS]
    assert len(names) == len(set(names))
    assert all(spec.max_bytes > 0 for spec in (*STREAMS, *BUCKETS))
