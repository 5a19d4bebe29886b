"""Every client protocol with every dialect: whatever is asked and whatever is answered, there is a translation or a plain refusal.

Requests and answers are real ones with something else at one place. FUZZ_EXAMPLES says how many (`make fuzz` takes many).
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.wire_answers import ANSWERS, STREAMS, stream_of
from tests.support.wire_requests import REQUESTS
from tt_common.contracts.records import Dialect
from tt_common.errors import DomainError
from tt_edge.protocols.anthropic.protocol import ANTHROPIC
from tt_edge.protocols.anthropic.request import parse_messages
from tt_edge.protocols.gemini.protocol import GEMINI
from tt_edge.protocols.gemini.request import parse_generate, parse_stream
from tt_edge.protocols.openai.protocol import OPENAI
from tt_edge.protocols.openai.request import parse_chat
from tt_edge.protocols.port import Attempted, Bridge, Target
from tt_edge.protocols.responses.protocol import RESPONSES
from tt_edge.protocols.responses.request import parse_responses
from tt_edge.protocols.sse import FrameSplitter, payload_of

HERE = Target("/v1beta/models/asked:generateContent", b"alt=sse", {})
UPSTREAM: dict[Dialect, str] = {"openai": "gpt-5", "anthropic": "claude-sonnet-5", "gemini": "gemini-3-pro"}
CLIENTS: dict[str, Callable[[bytes, Dialect], Bridge]] = {
    "openai": lambda body, dialect: OPENAI.bridge(parse_chat(body), dialect, "evt_1"),
    "responses": lambda body, dialect: RESPONSES.bridge(parse_responses(body), dialect, "evt_1"),
    "anthropic": lambda body, dialect: ANTHROPIC.bridge(parse_messages(HERE, body), dialect, "evt_1"),
    "gemini": lambda body, dialect: GEMINI.bridge(parse_generate(HERE, body), dialect, "evt_1"),
    "gemini-array": lambda body, dialect: GEMINI.bridge(
        parse_stream(Target(HERE.path, b"", {}), body), dialect, "evt_1"
    ),
}
MADE = re.compile(rb'call_[0-9a-z]{20,}|"created(?:_at)?":\d+')
"""What a gateway makes itself: ids of calls that have none, the time."""
FUZZ = settings(max_examples=int(os.environ.get("FUZZ_EXAMPLES", "25")))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "text", "tool", "data:,x", "{", "anthropic", "gemini", "é\U0001f600"])
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "name"]), inner, max_size=3)
    ),
    max_leaves=6,
)
every_client = pytest.mark.parametrize("client", CLIENTS)
every_dialect = pytest.mark.parametrize("dialect", UPSTREAM)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something can stand in a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inner:
        yield from places(item, (*path, name))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


def bridge_of(client: str, dialect: Dialect, **fields: Any) -> Bridge:
    """A small request, by which an answer is read."""
    return CLIENTS[client](json.dumps({**REQUESTS[client.removesuffix("-array")][1], **fields}).encode(), dialect)


@every_dialect
@every_client
@FUZZ
@given(data=st.data())
def test_any_request_is_translated_or_refused(client: str, dialect: Dialect, data: st.DataObject) -> None:
    whole = REQUESTS[client.removesuffix("-array")][0]
    place = data.draw(st.sampled_from(list(places(whole))))
    body = json.dumps(changed(whole, place, data.draw(JSON))).encode()

    with suppress(DomainError):
        json.loads(CLIENTS[client](body, dialect).outgoing(Attempted(UPSTREAM[dialect], 4000, 8000)).body)


@every_dialect
@every_client
@FUZZ
@given(data=st.data())
def test_any_answer_is_told_or_is_none(client: str, dialect: Dialect, data: st.DataObject) -> None:
    whole = ANSWERS[dialect]
    place = data.draw(st.sampled_from(list(places(whole))))
    body = json.dumps(changed(whole, place, data.draw(JSON))).encode()

    with suppress(DomainError):
        answer = bridge_of(client, dialect).answer(body)
        if answer is not None:
            answer.texts()
            json.loads(answer.rendered("asked", "0.1"))


@every_dialect
@every_client
@FUZZ
@given(data=st.data())
def test_any_stream_is_told_to_its_end_the_same_wherever_it_is_cut(
    client: str, dialect: Dialect, data: st.DataObject
) -> None:
    # given a stream with something else at one place of one event
    events = STREAMS[dialect]
    at = data.draw(st.integers(0, len(events) - 1))
    place = data.draw(st.sampled_from(list(places(events[at][1]))))
    spoilt = [*events[:at], (events[at][0], changed(events[at][1], place, data.draw(JSON))), *events[at + 1 :]]
    stream = stream_of(dialect, spoilt)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))

    # when it is read as it is, and cut into pieces
    once, pieces = (_told(client, dialect, stream, edges) for edges in ([], cuts))

    # then both tell the same, in whole events
    assert MADE.sub(b"", once) == MADE.sub(b"", pieces)
    for frame in FrameSplitter().feed(once) if client != "gemini-array" else ():
        payload = payload_of(frame)
        if payload not in (b"[DONE]", b""):
            json.loads(payload)
    if client == "gemini-array":
        assert isinstance(json.loads(once), list)


def _told(client: str, dialect: Dialect, stream: bytes, cuts: list[int]) -> bytes:
    stream_field = {} if client.startswith("gemini") else {"stream": True}
    tap = bridge_of(client, dialect, **stream_field).tap()
    edges = [0, *cuts, len(stream)]
    out = b"".join([tap.feed(stream[a:b]) for a, b in pairwise(edges)])
    out += tap.end()
    tap.recount()
    assert tap.usage is None or tap.usage.prompt_tokens >= 0
    return out + (tap.tail("0.1") if tap.complete else tap.broken(b'data: {"error":{"message":"broke off"}}\n\n'))
