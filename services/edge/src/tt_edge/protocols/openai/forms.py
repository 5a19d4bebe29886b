"""A chat completion in its two forms: one JSON body, or server-sent events. Each can be made from the other.

What a client's SDK puts together from the events is the body again. Numbers stay as they were written.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tt_edge.protocols.openai.keep import DONE, payloads

PIECES_MAX: Final = 2048
"""Events for one text; longer texts come in larger pieces."""
WORD: Final = re.compile(r"\S+\s*|\s+")
SET_ONCE: Final = frozenset({"role", "id", "type", "name", "index"})
"""Fields of a delta that some providers repeat: they are names, not pieces of a text."""
TEXTS: Final = ("reasoning_content", "content", "refusal")


def _as_written(number: str) -> msgspec.Raw:
    return msgspec.Raw(number.encode())


_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=_as_written)


def stream_of(body: bytes) -> bytes:
    """The events of a whole completion: role, text by words, tool calls, finish, usage, [DONE].

    Raises msgspec.MsgspecError, KeyError, TypeError or AttributeError for a body that is none.
    """
    whole = _decoder.decode(body)
    choices: list[dict[str, Any]] = whole.pop("choices")
    usage = whole.pop("usage", None)
    head = {**whole, "object": "chat.completion.chunk"}
    events = [_event(head, [chunk], None) for choice in choices for chunk in _chunks(choice)]
    if usage is not None:
        events.append(_event(head, [], usage))
    return b"".join(events) + DONE


def whole_of(stream: bytes) -> bytes:
    """The completion that the events of `stream` put together. Raises as `stream_of` does."""
    whole: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    usage: Any = None
    for payload in payloads(stream):
        chunk = _decoder.decode(payload)
        for piece in chunk.pop("choices", None) or ():
            _add_choice(choices, piece)
        usage = chunk.pop("usage", None) or usage
        whole.update({name: value for name, value in chunk.items() if value is not None or name not in whole})
    whole["object"] = "chat.completion"
    whole["choices"] = [_finished(choices[index]) for index in sorted(choices)]
    if usage is not None:
        whole["usage"] = usage
    return msgspec.json.encode(whole)


def _event(head: dict[str, Any], choices: list[dict[str, Any]], usage: Any) -> bytes:
    return b"data: " + msgspec.json.encode({**head, "choices": choices, "usage": usage}) + b"\n\n"


def _chunks(choice: dict[str, Any]) -> Iterator[dict[str, Any]]:
    message: dict[str, Any] = dict(choice["message"])
    tool_calls: list[dict[str, Any]] = message.pop("tool_calls", None) or []
    logprobs: dict[str, Any] | None = choice.get("logprobs")
    texts = {name: message[name] for name in TEXTS if isinstance(message.get(name), str)}

    def chunk(delta: dict[str, Any], said: Any = None, finish: str | None = None) -> dict[str, Any]:
        return {"index": choice["index"], "delta": delta, "logprobs": said, "finish_reason": finish}

    yield chunk({**message, **dict.fromkeys(texts, "")})
    if logprobs is not None:
        # They belong to tokens, and words are none: the text comes in one piece with all of them.
        yield chunk(texts, logprobs)
    else:
        for name, text in texts.items():
            for piece in _pieces(text):
                yield chunk({name: piece})
    for index, call in enumerate(tool_calls):
        yield from map(chunk, _tool_deltas(index, call))
    yield chunk({}, None, choice["finish_reason"])


def _tool_deltas(index: int, call: dict[str, Any]) -> Iterator[dict[str, Any]]:
    function = call.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("arguments"), str):
        yield {"tool_calls": [{"index": index, **call}]}
        return
    yield {"tool_calls": [{"index": index, **call, "function": {**function, "arguments": ""}}]}
    for piece in _pieces(function["arguments"]):
        yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _pieces(text: str) -> list[str]:
    words = WORD.findall(text)
    size = -(-len(words) // PIECES_MAX) or 1
    return ["".join(words[start : start + size]) for start in range(0, len(words), size)]


def _add_choice(choices: dict[int, dict[str, Any]], piece: dict[str, Any]) -> None:
    index: int = piece["index"]
    choice = choices.setdefault(index, {"index": index, "message": {}, "logprobs": None, "finish_reason": None})
    _merge(choice["message"], piece.get("delta") or {})
    if piece.get("logprobs") is not None:
        choice["logprobs"] = choice["logprobs"] or {}
        _merge(choice["logprobs"], piece["logprobs"])
    choice["finish_reason"] = piece.get("finish_reason") or choice["finish_reason"]


def _merge(into: dict[str, Any], delta: dict[str, Any]) -> None:
    for name, value in delta.items():
        known = into.get(name)
        if known is None or (known == "" and name in SET_ONCE):
            into[name] = _own_list(value) if isinstance(value, list) else value
        elif value is None or name in SET_ONCE:
            continue
        elif isinstance(known, str) and isinstance(value, str):
            into[name] = known + value
        elif isinstance(known, dict) and isinstance(value, dict):
            _merge(known, value)
        elif isinstance(known, list) and isinstance(value, list):
            _merge_lists(known, value)
        else:
            into[name] = value


def _own_list(items: list[Any]) -> list[Any]:
    merged: list[Any] = []
    _merge_lists(merged, items)
    return merged


def _merge_lists(into: list[Any], items: list[Any]) -> None:
    """Items with an `index` (tool calls) are pieces of the one with that index; others follow each other."""
    for item in items:
        index = item.get("index") if isinstance(item, dict) else None
        known = next((old for old in into if isinstance(old, dict) and old.get("index") == index), None)
        if index is None or known is None:
            into.append(item)
        else:
            _merge(known, item)


def _finished(choice: dict[str, Any]) -> dict[str, Any]:
    message = choice["message"]
    message.setdefault("content", None)
    for call in message.get("tool_calls") or ():
        call.pop("index", None)
    return choice
