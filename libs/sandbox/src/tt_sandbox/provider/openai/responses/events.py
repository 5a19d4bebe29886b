"""The events of a response's stream, numbered one by one; each names its type twice, as the vendor's do."""

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from tt_sandbox.provider.openai.responses.items import Item
from tt_sandbox.provider.streams import Event

ERROR = {"code": "server_error", "message": "The server had an error while processing your request.", "param": None}


class ResponseEvents:
    """One stream's events in order."""

    def __init__(self, started: dict[str, Any], ended: Callable[[], dict[str, Any]], items: list[Item]) -> None:
        """`started` is the response before it said anything; `ended` makes it as it is answered whole."""
        self._started = started
        self._ended = ended
        self._items = items
        self._number = 0

    def opening(self) -> Iterator[Event]:
        """The response exists and runs."""
        for kind in ("response.created", "response.in_progress"):
            yield Event(self._event(kind, response=self._started))

    def content(self) -> Iterator[Event]:
        """The items, one after the other."""
        for index, item in enumerate(self._items):
            body = item.body
            yield self._at(index, "response.output_item.added", item=_opened(body))
            if body["type"] == "reasoning":
                yield from self._reasoning(index, item)
            elif body["type"] == "message":
                yield from self._message(index, item)
            elif body["type"] == "function_call":
                here = {"item_id": body["id"]}
                yield from self._deltas(index, "response.function_call_arguments.delta", here, item)
                yield self._at(index, "response.function_call_arguments.done", **here, arguments=body["arguments"])
            else:
                for step in ("in_progress", "searching", "completed"):
                    yield self._at(index, f"response.web_search_call.{step}", item_id=body["id"])
            yield self._at(index, "response.output_item.done", item=body)

    def closing(self, usage: bytes | None) -> Iterator[Event]:
        """The response as it ended."""
        response = self._ended()
        yield Event(self._event(f"response.{response['status']}", response=response), 0, usage)

    def error(self) -> bytes:
        """What comes instead of the rest when the stream fails."""
        return self._event("error", **ERROR)

    def _reasoning(self, index: int, item: Item) -> Iterator[Event]:
        if not item.tokens:
            return
        here = {"item_id": item.body["id"], "summary_index": 0}
        part = item.body["summary"][0]
        yield self._at(index, "response.reasoning_summary_part.added", **here, part={**part, "text": ""})
        yield from self._deltas(index, "response.reasoning_summary_text.delta", here, item)
        yield self._at(index, "response.reasoning_summary_text.done", **here, text=part["text"])
        yield self._at(index, "response.reasoning_summary_part.done", **here, part=part)

    def _message(self, index: int, item: Item) -> Iterator[Event]:
        here = {"item_id": item.body["id"], "content_index": 0}
        part = item.body["content"][0]
        refused = part["type"] == "refusal"
        name, text = ("refusal", "refusal") if refused else ("output_text", "text")
        extra: dict[str, Any] = {} if refused else {"logprobs": []}
        yield self._at(index, "response.content_part.added", **here, part={**part, text: ""})
        yield from self._deltas(index, f"response.{name}.delta", {**here, **extra}, item)
        yield self._at(index, f"response.{name}.done", **here, **extra, **{text: part[text]})
        yield self._at(index, "response.content_part.done", **here, part=part)

    def _deltas(self, index: int, kind: str, here: dict[str, Any], item: Item) -> Iterator[Event]:
        # The only events there are many of: built around what is the same in all of them.
        head = orjson.dumps({"type": kind, **here, "output_index": index})[:-1]
        for token in item.tokens:
            data = b'%b,"sequence_number":%d,"delta":%b}' % (head, self._next(), orjson.dumps(token))
            yield Event(b"event: %b\ndata: %b\n\n" % (kind.encode(), data), 1)

    def _at(self, index: int, kind: str, **fields: Any) -> Event:
        return Event(self._event(kind, output_index=index, **fields))

    def _event(self, kind: str, **fields: Any) -> bytes:
        data = orjson.dumps({"type": kind, "sequence_number": self._next(), **fields})
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)

    def _next(self) -> int:
        self._number += 1
        return self._number - 1


def _opened(body: dict[str, Any]) -> dict[str, Any]:
    """An item before it said anything."""
    empty: dict[str, Any] = {
        "message": {"content": []},
        "function_call": {"arguments": ""},
        "reasoning": {"summary": []},
    }
    opened = {**body, **empty.get(body["type"], {})}
    if "status" in body:
        opened["status"] = "in_progress"
    return opened
