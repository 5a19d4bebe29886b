"""The scripted provider in each dialect, and short ways to ask it through the SDKs."""

import json
from typing import Any

from anthropic import Anthropic
from openai import OpenAI

from tests.support.scripted_provider import EVENT_STREAM, ScriptedProvider
from tests.support.wire_answers import ANSWERS, STREAMS, stream_of
from tests.support.wire_requests import PNG

TEXT = "Grüße \U0001f600"
OSLO = {"city": "Oslo"}
HELLO: Any = [{"role": "user", "content": "hi"}]
SCHEMA: Any = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL: Any = {"type": "function", "function": {"name": "look", "parameters": SCHEMA}}
CLAUDES_TOOL: Any = {"name": "look", "input_schema": SCHEMA}
PICTURE: Any = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
CLAUDES_PICTURE: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}


class Provider:
    """The scripted one, in each dialect: what it says next, and what it was sent."""

    def __init__(self, scripted: ScriptedProvider, models: dict[str, str]) -> None:
        self._scripted = scripted
        self.models = models

    def says(self, dialect: str, whole: Any = None) -> str:
        """A whole answer; the model to ask."""
        self._scripted.answer(json.dumps(ANSWERS[dialect] if whole is None else whole).encode())
        return self.models[dialect]

    def streams(self, dialect: str, *events: Any, cut: bool = False) -> str:
        """A stream, `cut` before its end; the model to ask."""
        told = [event if isinstance(event, tuple) else (event.get("type", ""), event) for event in events]
        told = told or STREAMS[dialect]
        data = stream_of(dialect, told)
        if cut:
            data = data.removesuffix(b"data: [DONE]\n\n")
        self._scripted.answer(data, content_type=EVENT_STREAM)
        return self.models[dialect]

    @property
    def sent(self) -> Any:
        """The body of the last request."""
        return json.loads(self._scripted.last.body)


def chunk(delta: Any, finish: str | None = None, **more: Any) -> Any:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def candidate(*parts: Any, finish: str | None = None) -> Any:
    said = {"index": 0, "content": {"role": "model", "parts": list(parts)}, "finishReason": finish}
    return {
        "candidates": [said],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 1, "totalTokenCount": 10},
    }


def ask(claude: Anthropic, model: str, **fields: Any) -> Any:
    return claude.messages.create(**{"model": model, "max_tokens": 100, "messages": HELLO, **fields})


def events_of(claude: Anthropic, model: str) -> list[Any]:
    return list(ask(claude, model, stream=True))


def message_of(claude: Anthropic, model: str) -> Any:
    with claude.messages.stream(model=model, max_tokens=100, messages=HELLO) as stream:
        return stream.get_final_message()


def chunks_of(client: OpenAI, model: str, **fields: Any) -> list[Any]:
    return list(client.chat.completions.create(model=model, messages=HELLO, stream=True, **fields))


def whole_of(client: OpenAI, model: str, **fields: Any) -> Any:
    return client.chat.completions.create(**{"model": model, "messages": HELLO, **fields}).choices[0]
