"""Whatever bytes a provider sends, in whatever pieces: a call ends, has exactly one event, costs no more than its hold, never crashes.

FUZZ_EXAMPLES says how many examples (`make fuzz` takes many).
"""

import asyncio
import json
import os
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.unit.edge.relay_fakes import OUTPUT_TOKEN_NANOUSD, Client, Provider, Relay
from tt_common.rating import QUANTITY_MAX
from tt_edge.clients.answers import UpstreamFailure
from tt_edge.protocols.openai.answer import answer_texts, parse_answer, render_answer

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    print_blob=True,
)
WALLET = 10**9
PIECES_MAX = 12
# The journal waits for its disk; where there is one that is none, it needn't.
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

numbers = st.one_of(
    st.integers(-(2**70), 2**70), st.integers(0, 50), st.floats(allow_nan=False), st.none(), st.text(max_size=3)
)
usages = st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": numbers,
        "completion_tokens": numbers,
        "prompt_tokens_details": st.one_of(numbers, st.dictionaries(st.sampled_from(["cached_tokens", "x"]), numbers)),
        "completion_tokens_details": st.one_of(
            numbers, st.dictionaries(st.sampled_from(["reasoning_tokens"]), numbers)
        ),
        "cost": numbers,
        'cost\\"': numbers,
    },
)
anything: st.SearchStrategy[Any] = st.recursive(
    numbers | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)
deltas = st.fixed_dictionaries(
    {},
    optional={
        "role": anything,
        "content": st.one_of(st.text(max_size=20), anything),
        "tool_calls": anything,
        "refusal": anything,
        "reasoning_content": anything,
    },
)
choices = st.fixed_dictionaries(
    {},
    optional={
        "index": anything,
        "delta": deltas | anything,
        "finish_reason": st.sampled_from(["stop", None, "length", 7]),
    },
)
chunks = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["gpt-4o-mini", "up", "", 1, None]),
        "choices": st.lists(choices, max_size=3) | anything,
        "usage": usages | anything,
        "error": anything,
    },
)
GOOD: list[bytes] = [
    b'data: {"model":"up","choices":[{"index":0,"delta":{"content":"word"},"finish_reason":null}]}\n\n',
    b'data: {"model":"up","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b'data: {"model":"up","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3}}\n\n',
    b"data: [DONE]\n\n",
    b": comment\n\n",
    b"event: error\ndata: {}\n\n",
]
frames = st.one_of(
    st.sampled_from(GOOD),
    chunks.map(lambda chunk: b"data: " + json.dumps(chunk).encode() + b"\n\n"),
    chunks.map(lambda chunk: b"data:" + json.dumps(chunk, ensure_ascii=False).encode() + b"\r\n\r\n"),
    st.binary(max_size=40),
    st.binary(max_size=20).map(lambda noise: b"data: " + noise + b"\n\n"),
    st.sampled_from(
        [
            b"\n",
            b"\r",
            b"data:",
            b"\xef\xbb\xbf",
            b"\xff\xfe",
            b"\0",
            b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n',
        ]
    ),
)


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """A stream that begins well or not, cut anywhere; a provider's piece is never empty."""
    whole = b"".join(draw(st.lists(frames, min_size=1, max_size=10)))
    if draw(st.booleans()) and whole:
        at = draw(st.integers(0, len(whole) - 1))
        whole = whole[:at] + draw(st.binary(max_size=4)) + whole[at + draw(st.integers(0, 4)) :]
    cuts = sorted({0, len(whole), *draw(st.lists(st.integers(0, len(whole)), max_size=PIECES_MAX))})
    return [whole[a:b] for a, b in pairwise(cuts)] or [b"\n"]


@FUZZ
@given(pieces=streams(), breaks=st.sampled_from([None, "broken", "timeout"]), keyed=st.booleans())
@example(pieces=[b'data: {"usage":{"prompt_tokens":1,"\xff":1}}\n\n', *GOOD], breaks=None, keyed=False)
@example(pieces=[b'data: {"model":"","choices":[{"finish_reason":"stop"}],"\xff":0}\n\n'], breaks=None, keyed=False)
def test_any_stream_is_settled_exactly_once(pieces: list[bytes], breaks: str | None, keyed: bool) -> None:
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        relay = Relay(Path(folder), WALLET, hold_output_tokens=1000)
        steps: list[Any] = [*pieces, *([UpstreamFailure(breaks, "fuzz")] if breaks else [])]
        client = Client()

        async def run() -> Any:
            if keyed:
                relay.under_idempotency_key()
            return await relay.run(Provider(steps), client)

        event = asyncio.run(run())  # asserts that there is one event and no open call

        assert event.cost_nanousd >= 0
        if event.usage_source == "none":
            assert event.cost_nanousd == 0
        assert event.cost_nanousd <= (QUANTITY_MAX + 1) * OUTPUT_TOKEN_NANOUSD
        if event.usage_source == "estimated":
            assert relay.call.hold is not None
            assert event.cost_nanousd <= relay.call.hold.amount_nanousd
        assert relay.call.hold is not None
        assert relay.call.hold.grant.holds == 0
        if keyed:
            assert len(relay.answers.finished) + relay.answers.released == 1
        b"".join(client.taken)  # all of it bytes


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """A whole answer, perhaps damaged."""
    body = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "model": st.sampled_from(["up", "", 1, None, 'x"y']),
                "choices": anything
                | st.lists(st.fixed_dictionaries({}, optional={"message": deltas | anything}), max_size=2),
                "data": anything,
                "usage": usages | anything,
            },
        )
    )
    text = json.dumps(body, ensure_ascii=draw(st.booleans())).encode()
    if draw(st.booleans()) and text:
        at = draw(st.integers(0, len(text) - 1))
        text = text[:at] + draw(st.binary(max_size=3)) + text[at + draw(st.integers(0, 3)) :]
    return text


@FUZZ
@given(body=answers(), kind=st.sampled_from(["chat", "embedding"]))
@example(body=b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"\xff":1,"cost":1}}', kind="chat")
@example(body=b'{"choices":[{"message":{"content":"\xff"}}]}', kind="chat")
@example(body=b'{"choices":[],"model":"up","model":"up","\xff":"up"}', kind="chat")
def test_any_whole_answer_is_refused_or_rendered(body: bytes, kind: str) -> None:
    answer = parse_answer(body, kind)
    if answer is None:
        return

    texts = answer_texts(answer)
    rendered = render_answer(answer, "asked", "0.000001")

    assert all(isinstance(text, str) for text in texts)
    assert isinstance(rendered, bytes)
