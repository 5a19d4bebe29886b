"""The events of a chat's stream: role, one event a token and choice, finish, usage if asked for, [DONE]."""

from collections.abc import Iterator
from typing import Any

import orjson

from tt_sandbox.provider.streams import Event

DONE = b"data: [DONE]\n\n"
ERROR = {"message": "The server had an error while processing your request.", "type": "server_error"}


class ChatEvents:
    """Builds events around what is the same in all of them."""

    def __init__(self, head: dict[str, Any], choices: list[dict[str, Any]], *, with_usage: bool) -> None:
        """`choices` as they are answered whole; each text comes as its `tokens`."""
        self._choices = choices
        self._message: dict[str, Any] = choices[0]["message"]
        self._tokens: dict[str, Any] = choices[0]["tokens"]
        self._head = b"data: " + orjson.dumps(head)[:-1] + b',"choices":['
        # With include_usage every event but the last carries "usage": null.
        self._tail = b',"usage":null}\n\n' if with_usage else b"}\n\n"

    def opening(self) -> Iterator[Event]:
        """The role of each choice, and its call if it makes just one."""
        for choice in self._choices:
            message = choice["message"]
            said: str | None = None if message["content"] is None else ""
            delta: dict[str, Any] = {"role": "assistant", "content": said, "refusal": None}
            if len(self._tokens["tools"]) == 1 and not message["content"]:
                delta["tool_calls"] = [_opened(message, 0)]
            if "audio" in message:
                delta["audio"] = {"id": message["audio"]["id"]}
            yield Event(self._delta(choice["index"], orjson.dumps(delta), None))

    def content(self) -> Iterator[Event]:
        """Text, refusal or transcript, then the sound, then the calls; choices take turns token by token."""
        if "audio" in self._message:
            yield from self._texts(b'{"audio":{"transcript":', self._tokens["text"], b"}}")
            for choice in self._choices:
                audio = choice["message"]["audio"]
                data, expires = {"audio": {"data": audio["data"]}}, {"audio": {"expires_at": audio["expires_at"]}}
                sound = self._delta(choice["index"], orjson.dumps(data), None)
                yield Event(sound, audio_tokens=self._tokens["audio_tokens"])
                yield Event(self._delta(choice["index"], orjson.dumps(expires), None))
        elif self._message["refusal"] is not None:
            yield from self._texts(b'{"refusal":', self._tokens["text"], b"}")
        else:
            yield from self._texts(b'{"content":', self._tokens["text"], b"}")
        merged = len(self._tokens["tools"]) == 1 and not self._message["content"]
        for number, arguments in enumerate(self._tokens["tools"]):
            for choice in self._choices if not merged else ():
                start = orjson.dumps({"tool_calls": [_opened(choice["message"], number)]})
                yield Event(self._delta(choice["index"], start, None))
            before = b'{"tool_calls":[{"index":%d,"function":{"arguments":' % number
            yield from self._texts(before, arguments, b"}}]}")

    def closing(self, usage: bytes | None) -> Iterator[Event]:
        """What the answer is based on, why it ends, the usage."""
        for choice in self._choices:
            if annotations := choice["message"]["annotations"]:
                yield Event(self._delta(choice["index"], orjson.dumps({"annotations": annotations}), None))
        for choice in self._choices:
            yield Event(self._delta(choice["index"], b"{}", choice["finish_reason"]))
        if usage is not None:
            yield Event(self._head + b'],"usage":' + usage + b"}\n\n", 0, usage)
        yield Event(DONE)

    def error(self) -> bytes:
        """What comes instead of the rest when the stream fails."""
        return b"data: " + orjson.dumps({"error": {**ERROR, "param": None, "code": None}}) + b"\n\n"

    def _texts(self, before: bytes, tokens: tuple[str, ...], after: bytes) -> Iterator[Event]:
        heads = [self._head + b'{"index":%d,"delta":' % choice["index"] + before for choice in self._choices]
        tail = after + b',"logprobs":null,"finish_reason":null}]' + self._tail
        for token in tokens:
            encoded = orjson.dumps(token)
            for head in heads:
                yield Event(head + encoded + tail, 1)

    def _delta(self, choice: int, delta: bytes, finish: str | None) -> bytes:
        body = b'{"index":%d,"delta":%b,"logprobs":null,"finish_reason":%b}]' % (choice, delta, orjson.dumps(finish))
        return self._head + body + self._tail


def _opened(message: dict[str, Any], number: int) -> dict[str, Any]:
    """The first delta of a call: all but its arguments."""
    call = message["tool_calls"][number]
    return {"index": number, **call, "function": {**call["function"], "arguments": ""}}
