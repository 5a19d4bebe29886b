"""Which requests the response cache takes for the same, and how much it keeps."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tt_common.rating import Usage
from tt_edge.cache.canonical import request_hash
from tt_edge.cache.memory import ENTRY_OVERHEAD_BYTES, AnswerKey, AnswerMemory, KeptAnswer
from tt_edge.protocols.openai.request import parse_chat

CHAT = "/v1/chat/completions"
ENTRIES_MAX = 4
BYTES_MAX = 4 * ENTRY_OVERHEAD_BYTES

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)


def digest(body: str, endpoint: str = CHAT) -> str:
    found = request_hash(endpoint, parse_chat(body.encode()).fields)
    assert found is not None
    return found


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}


def reordered(value: Any, draw: Any) -> Any:
    """The same value with the keys of its objects in another order."""
    if isinstance(value, list):
        return [reordered(item, draw) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: reordered(value[key], draw) for key in draw(st.permutations(list(value)))}


@given(extra=values, ascii_only=st.booleans(), indent=st.sampled_from([None, 0, 3]), data=st.data())
def test_key_order_white_space_and_escapes_make_no_difference(
    extra: Any, ascii_only: bool, indent: int | None, data: st.DataObject
) -> None:
    # given the same request written twice
    request = body(extra=extra)
    plain = json.dumps(request, ensure_ascii=False, separators=(",", ":"))
    other = json.dumps(reordered(request, data.draw), ensure_ascii=ascii_only, indent=indent)

    # then
    assert digest(plain) == digest(other)


@given(one=values, other=values)
def test_requests_that_say_something_else_are_not_the_same(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest(json.dumps(body(extra=one))) == digest(json.dumps(body(extra=other)))) is same


@pytest.mark.parametrize(
    ("one", "other"), [("1", "1.0"), ("1.0", "1.00"), ("1e1", "10.0"), ("1", '"1"'), ("0.1", "1e-1")]
)
def test_numbers_written_in_another_way_are_not_the_same(one: str, other: str) -> None:
    template = '{"model":"m","messages":[{}],"temperature":%s}'
    assert digest(template % one) != digest(template % other)


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": True},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"user": "someone"},
        {"metadata": {"order": "17"}},
    ],
)
def test_what_does_not_change_the_answer_makes_no_difference(fields: dict[str, Any]) -> None:
    assert digest(json.dumps(body(**fields))) == digest(json.dumps(body()))


@pytest.mark.parametrize("fields", [{"model": "n"}, {"temperature": 0}, {"n": 1}, {"messages": [{"user": "someone"}]}])
def test_what_may_change_the_answer_makes_a_difference(fields: dict[str, Any]) -> None:
    assert digest(json.dumps({**body(), **fields})) != digest(json.dumps(body()))


def test_the_endpoint_makes_a_difference() -> None:
    assert digest(json.dumps(body())) != digest(json.dumps(body()), "/v1/other")


class Memory(RuleBasedStateMachine):
    """The LRU against a list in the order of use."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = AnswerMemory(ENTRIES_MAX, BYTES_MAX)
        self.model: list[tuple[AnswerKey, KeptAnswer]] = []

    @rule(name=st.sampled_from("abcdefg"), size=st.integers(0, BYTES_MAX))
    def put(self, name: str, size: int) -> None:
        key, answer = ("acc_1", name), KeptAnswer(False, b"x" * size, Usage(), 0)
        self.memory.put(key, answer)
        self.model = [entry for entry in self.model if entry[0] != key]
        if size + ENTRY_OVERHEAD_BYTES <= BYTES_MAX:
            self.model.append((key, answer))
        while len(self.model) > ENTRIES_MAX or self._model_bytes() > BYTES_MAX:
            self.model.pop(0)

    @rule(name=st.sampled_from("abcdefg"))
    def get(self, name: str) -> None:
        found = [entry for entry in self.model if entry[0] == ("acc_1", name)]
        assert self.memory.get(("acc_1", name)) is (found[0][1] if found else None)
        self.model = [entry for entry in self.model if entry not in found] + found

    @rule(name=st.sampled_from("abcdefg"))
    def drop(self, name: str) -> None:
        self.memory.drop(("acc_1", name))
        self.model = [entry for entry in self.model if entry[0] != ("acc_1", name)]

    @rule(name=st.sampled_from("abcdefg"))
    def another_account(self, name: str) -> None:
        assert self.memory.get(("acc_2", name)) is None

    @invariant()
    def bounded(self) -> None:
        assert self.memory.size_bytes == self._model_bytes() <= BYTES_MAX
        assert len(self.memory) == len(self.model) <= ENTRIES_MAX

    def _model_bytes(self) -> int:
        return sum(len(answer.body) + ENTRY_OVERHEAD_BYTES for _, answer in self.model)


TestMemory = Memory.TestCase
