"""What is asked in a cell of the matrix, and what must come of it."""

import json
import struct
import zlib
from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.conformance.matrix.talk import Ask, Called, Failed, Result, Results, Said, Sdk, Tool, User
from tests.support.console import ConsoleUser
from tests.support.product import Product
from tests.support.waiting import eventually

WEATHER: Final = Tool(
    name="get_weather",
    description="The weather in a city",
    schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
TIME: Final = Tool(
    name="get_time",
    description="The time in a city",
    schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
PERSON: Final = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
PRICE: Final = {"input": "1", "cache_read": "0.5", "cache_write_5m": "2", "cache_write_1h": "3", "output": "4"}
ASK_WEATHER: Final = User(text="What is the weather in Oslo?")


def _png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = zlib.compress(b"\0\xff\0\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")


PNG: Final = _png()


class Cell:
    """One case of one SDK on one dialect."""

    def __init__(
        self, sdk: Sdk, dialect: str, model: str, upstream: str, stream: bool, product: Product, user: ConsoleUser
    ) -> None:
        self.sdk = sdk
        self.dialect = dialect
        self.model = model
        self._upstream = upstream
        self.stream = stream
        self.product = product
        self.user = user
        self._set: set[str] = set()

    def provider(self, **switches: Any) -> None:
        self._set.update(switches)
        self.product.provider.set_fault(self._upstream, **switches)

    def undo(self) -> None:
        if self._set:
            self.product.provider.set_fault(self._upstream, **dict.fromkeys(self._set))
            self._set.clear()

    def ask(self, *turns: Any, **fields: Any) -> Said:
        return self.sdk.ask(self.model, Ask(turns=turns, **fields), stream=self.stream)

    def calls(self) -> list[dict[str, Any]]:
        return self.product.provider.calls(model=self._upstream)


def text(cell: Cell) -> None:
    said = cell.ask(User(text="Say hello."))
    assert said.text
    assert said.reason == "end"
    assert said.prompt_tokens > 0
    assert said.output_tokens > 0


def multi_turn(cell: Cell) -> None:
    first = cell.ask(User(text="Say hello."))
    second = cell.ask(User(text="Say hello."), first, User(text="And once more."))
    assert second.text
    assert second.prompt_tokens > first.prompt_tokens + 1


def system(cell: Cell) -> None:
    without = cell.ask(User(text="Say hello."))
    told = cell.ask(User(text="Say hello."), system="You are a very polite machine that counts its words.")
    assert told.text
    assert told.prompt_tokens > without.prompt_tokens


def images(cell: Cell) -> None:
    without = cell.ask(User(text="What is this?"))
    seen = cell.ask(User(text="What is this?", image_png=PNG))
    assert seen.text
    assert seen.prompt_tokens > without.prompt_tokens


def _called(said: Said, count: int) -> tuple[Called, ...]:
    assert said.reason == "tool", said
    assert len(said.calls) == count, said
    assert len({call.id for call in said.calls}) == count, "each call has an id of its own"
    for call in said.calls:
        assert isinstance(call.arguments["city"], str)
    return said.calls


def tools(cell: Cell) -> None:
    said = cell.ask(ASK_WEATHER, tools=(WEATHER,))
    [call] = _called(said, 1)
    assert call.name == "get_weather"
    results = Results(of=(Result(call=call, text="4 degrees", image_png=None),))
    answer = cell.ask(ASK_WEATHER, said, results, tools=(WEATHER,))
    assert answer.text
    assert answer.reason == "end"


def parallel_tools(cell: Cell) -> None:
    cell.provider(tool_calls=3)
    said = cell.ask(ASK_WEATHER, tools=(WEATHER, TIME))
    calls = _called(said, 3)
    results = Results(of=tuple(Result(call=call, text=f"result {at}") for at, call in enumerate(calls)))
    answer = cell.ask(ASK_WEATHER, said, results, tools=(WEATHER, TIME))
    assert answer.text
    assert answer.reason == "end"


def forced_tool(cell: Cell) -> None:
    said = cell.ask(User(text="Say hello."), tools=(WEATHER, TIME), force="get_time")
    assert {call.name for call in said.calls} == {"get_time"}


def tool_error(cell: Cell) -> None:
    said = cell.ask(ASK_WEATHER, tools=(WEATHER,))
    [call] = _called(said, 1)
    results = Results(of=(Result(call=call, text="no such city", is_error=True),))
    assert cell.ask(ASK_WEATHER, said, results, tools=(WEATHER,)).text


def tool_result_with_image(cell: Cell) -> None:
    said = cell.ask(ASK_WEATHER, tools=(WEATHER,))
    [call] = _called(said, 1)
    results = Results(of=(Result(call=call, text="as seen here", image_png=PNG),))
    answer = cell.ask(ASK_WEATHER, said, results, tools=(WEATHER,))
    assert answer.text or answer.calls


def thinking_with_tools(cell: Cell) -> None:
    cell.provider(reasoning_tokens=12)
    said = cell.ask(ASK_WEATHER, tools=(WEATHER,), thinking=True)
    calls = _called(said, 1)
    results = Results(of=tuple(Result(call=call, text="4 degrees") for call in calls))
    answer = cell.ask(ASK_WEATHER, said, results, tools=(WEATHER,), thinking=True)
    assert answer.text
    more = cell.ask(ASK_WEATHER, said, results, answer, User(text="And the time?"), tools=(WEATHER,), thinking=True)
    assert more.text or more.calls
    if cell.dialect != "openai":  # whose chat never shows its thoughts
        assert said.thought


def structured_output(cell: Cell) -> None:
    said = cell.ask(User(text="Invent a person, as JSON."), schema=PERSON)
    person = json.loads(said.text)
    assert set(person) == {"name", "age"}
    assert isinstance(person["age"], int)


def stop_sequence(cell: Cell) -> None:
    cell.provider(completion_text="one two three four five")
    said = cell.ask(User(text="Count."), stop=("four",))
    assert said.text.strip() == "one two three"
    assert said.reason in ("end", "stop")


def max_tokens(cell: Cell) -> None:
    cell.provider(output_tokens=200)
    said = cell.ask(User(text="Tell me a story."), limit=20)
    assert said.reason == "length"
    assert said.output_tokens <= 20


def refusal(cell: Cell) -> None:
    cell.provider(finish="refusal")
    assert cell.ask(User(text="Say hello.")).reason == "refusal"


def prompt_blocked(cell: Cell) -> None:
    cell.provider(finish="prompt_blocked")
    said = cell.ask(User(text="Say hello."))
    assert said.reason == "refusal"
    assert not said.calls


def usage_with_cache(cell: Cell) -> None:
    cell.provider(prompt_tokens=5000, cached_tokens=3000, output_tokens=50)
    before = len(cell.user.charges())
    said = cell.ask(User(text="Say hello."))
    assert (said.prompt_tokens, said.cached_tokens, said.output_tokens) == (5000, 3000, 50)
    eventually(lambda: len(cell.user.charges()) == before + 1, "the call is settled")
    usage = cell.calls()[-1]["usage"]
    expected = sum(usage[name] * round(float(usd) * 1000) for name, usd in PRICE.items())
    assert cell.user.charges()[0]["cost_nanousd"] == expected


def refused_by_the_provider(cell: Cell) -> None:
    cell.provider(fail_status=400, fail_message="this picture is no picture")
    with pytest.raises(Failed, match="this picture is no picture") as failed:
        cell.ask(User(text="Say hello."))
    assert failed.value.status == 400


def provider_overloaded(cell: Cell) -> None:
    cell.provider(fail_status=529 if cell.dialect == "anthropic" else 503)
    with pytest.raises(Failed) as failed:
        cell.ask(User(text="Say hello."))
    assert failed.value.status == 503


def unknown_model(cell: Cell) -> None:
    with pytest.raises(Failed, match="no-such-model") as failed:
        cell.sdk.ask("no-such-model", Ask(turns=(User(text="hi"),)), stream=cell.stream)
    assert failed.value.status == 404


def error_in_the_stream(cell: Cell) -> None:
    cell.provider(output_tokens=20, error_after_chunks=6)
    with pytest.raises(Failed) as failed:
        cell.ask(User(text="Say hello."))
    assert failed.value.status == 0
    assert failed.value.said


def stream_that_just_ends(cell: Cell) -> None:
    cell.provider(output_tokens=20, truncate=True)
    with pytest.raises(Failed) as failed:
        cell.ask(User(text="Say hello."))
    assert failed.value.status == 0


CASES: Final[dict[str, Callable[[Cell], None]]] = {
    "text": text,
    "multi-turn": multi_turn,
    "system": system,
    "images": images,
    "tools": tools,
    "parallel tools": parallel_tools,
    "forced tool": forced_tool,
    "tool error": tool_error,
    "tool result with image": tool_result_with_image,
    "thinking with tools, three turns": thinking_with_tools,
    "structured output": structured_output,
    "stop sequence": stop_sequence,
    "max tokens": max_tokens,
    "refusal": refusal,
    "blocked prompt": prompt_blocked,
    "usage with cache, and its cost": usage_with_cache,
    "provider's own 400": refused_by_the_provider,
    "provider overloaded": provider_overloaded,
    "unknown model": unknown_model,
    "error in the stream": error_in_the_stream,
    "stream that just ends": stream_that_just_ends,
}
BREAKING: Final = frozenset({"provider overloaded", "error in the stream", "stream that just ends"})
"""Cases that open a route's circuit breaker: each has a route of its own."""
STREAMED_ONLY: Final = frozenset({"error in the stream", "stream that just ends"})
