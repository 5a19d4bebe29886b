"""A conversation with thoughts and calls that moves from one vendor's model to another's, sent back as each SDK has it."""

from itertools import permutations

import pytest

from tests.conformance.matrix.cases import ASK_WEATHER, WEATHER
from tests.conformance.matrix.grid import DIALECTS
from tests.conformance.matrix.talk import Ask, Result, Results, Sdk, User
from tests.support.product import Product


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("first", "second"), list(permutations(DIALECTS, 2)))
@pytest.mark.parametrize("sdk", ["openai chat", "openai responses", "anthropic", "google-genai"])
def test_a_conversation_may_change_its_vendor(
    sdk: str, first: str, second: str, stream: bool, sdks: dict[str, Sdk], models: dict[str, str], product: Product
) -> None:
    # given a turn that thought and called, and its answer
    product.provider.set_fault(DIALECTS[first], reasoning_tokens=12)
    called = sdks[sdk].ask(models[first], Ask(turns=(ASK_WEATHER,), tools=(WEATHER,), thinking=True), stream=stream)
    product.provider.set_fault(DIALECTS[first], reasoning_tokens=None)
    results = Results(of=tuple(Result(call=call, text="4 degrees") for call in called.calls))
    assert called.calls

    # when the other vendor goes on: within the loop of tools, and in the turn after it
    turns = (ASK_WEATHER, called, results)
    answer = sdks[sdk].ask(models[second], Ask(turns=turns, tools=(WEATHER,), thinking=True), stream=stream)
    more = (*turns, answer, User(text="Thanks."))
    last = sdks[sdk].ask(models[second], Ask(turns=more, tools=(WEATHER,), thinking=True), stream=stream)

    # then it takes all of it
    assert answer.text
    assert last.text or last.calls
