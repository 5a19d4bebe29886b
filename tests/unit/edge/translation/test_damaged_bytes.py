"""Bytes that are no text, numbers beyond all ranges, endless nesting: each protocol with each dialect refuses them or tells the rest.

Requests, answers and streams are real ones, damaged at one place. FUZZ_EXAMPLES says how many (`make fuzz` takes many).
"""

import json
import os
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.wire_answers import ANSWERS, STREAMS, stream_of
from tests.support.wire_requests import REQUESTS
from tests.unit.edge.translation.test_crossings import (
    CLIENTS,
    UPSTREAM,
    bridge_of,
    changed,
    every_client,
    every_dialect,
)
from tt_common.contracts.records import Dialect
from tt_common.errors import DomainError
from tt_edge.protocols.port import Attempted

FUZZ = settings(max_examples=int(os.environ.get("FUZZ_EXAMPLES", "25")))
NO_TEXT = b'"\xff":1,'
BEYOND = b'"x":1e999,'
DEEPS = [b'"x":' + b'{"items":' * depth + b"1" + b"}" * depth + b"," for depth in (300, 600, 900, 3000)]
DAMAGE = [
    NO_TEXT,
    BEYOND,
    *DEEPS,
    b"\xff",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\0",
    b'"',
    b"\\",
    b"}",
    b"]",
    b"\n\n",
    b"\r",
    b"",
]
ATTEMPTED = Attempted("up", 4000, 8000)
damaging = st.tuples(st.sampled_from(DAMAGE), st.integers(0, 2**31), st.booleans(), st.sampled_from([0, 0, 1, 5]))


def damaged(body: bytes, how: tuple[bytes, int, bool, int]) -> bytes:
    """The bytes with some put in, before a field or anywhere, and some taken out."""
    noise, place, between, gone = how
    places = [found.end() for found in re.finditer(rb"[{,]", body)] if between else range(len(body))
    at = places[place % len(places)]
    return body[:at] + noise + body[at + gone :]


def asked(client: str, dialect: Dialect, body: bytes) -> None:
    CLIENTS[client](body, dialect).outgoing(ATTEMPTED)


@every_dialect
@every_client
@FUZZ
@given(how=damaging)
def test_a_damaged_request_goes_on_or_is_refused(
    client: str, dialect: Dialect, how: tuple[bytes, int, bool, int]
) -> None:
    body = json.dumps(REQUESTS[client.removesuffix("-array")][0], ensure_ascii=False).encode()
    with suppress(DomainError):
        asked(client, dialect, damaged(body, how))


@every_dialect
@every_client
@FUZZ
@given(how=damaging)
def test_a_damaged_answer_is_told_or_is_none(client: str, dialect: Dialect, how: tuple[bytes, int, bool, int]) -> None:
    with suppress(DomainError):
        answer = bridge_of(client, dialect).answer(damaged(json.dumps(ANSWERS[dialect]).encode(), how))
        if answer is not None:
            answer.texts()
            answer.rendered("asked", "0.1")


@every_dialect
@every_client
@FUZZ
@given(how=damaging, wants_usage=st.booleans())
def test_a_damaged_stream_is_told_to_its_end(
    client: str, dialect: Dialect, how: tuple[bytes, int, bool, int], wants_usage: bool
) -> None:
    fields: dict[str, Any] = {} if client.startswith("gemini") else {"stream": True}
    if client == "openai" and wants_usage:
        fields["stream_options"] = {"include_usage": True}
    tap = bridge_of(client, dialect, **fields).tap()

    tap.feed(damaged(stream_of(dialect, STREAMS[dialect]), how))
    tap.end()
    tap.recount()

    assert isinstance(tap.tail("0.1"), bytes)


def request_with(client: str, noise: bytes) -> bytes:
    """A request with the bytes before the fields of its first tool, which no protocol looks into before it must."""
    whole = REQUESTS[client.removesuffix("-array")][0]
    marked = json.dumps(changed(whole, ("tools",), [{"MARK": 1, **whole["tools"][0]}])).encode()
    return marked.replace(b'"MARK": 1, ', noise)


@every_dialect
@every_client
def test_a_request_that_is_no_text_throughout_is_refused(client: str, dialect: Dialect) -> None:
    with pytest.raises(DomainError, match="utf-8") as caught:
        asked(client, dialect, request_with(client, NO_TEXT))
    assert caught.value.code == "invalid_request"


TRANSLATED = [
    (client, dialect) for client in CLIENTS for dialect in UPSTREAM if client.removesuffix("-array") != dialect
]


@pytest.mark.parametrize(("client", "dialect"), TRANSLATED)
def test_a_number_beyond_all_ranges_is_refused_by_the_name_of_its_field(client: str, dialect: Dialect) -> None:
    with pytest.raises(DomainError, match="'tools': Number out of range") as caught:
        asked(client, dialect, request_with(client, BEYOND))
    assert (caught.value.code, caught.value.data["param"]) == ("invalid_request", "tools")


@pytest.mark.parametrize("noise", DEEPS, ids=len)
@every_dialect
@every_client
def test_a_request_nested_without_end_is_refused_or_goes_on(client: str, dialect: Dialect, noise: bytes) -> None:
    with suppress(DomainError):
        asked(client, dialect, request_with(client, noise))
