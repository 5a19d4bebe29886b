"""Anthropic's SDK: messages."""

import base64
from collections.abc import Iterator
from typing import Any

from anthropic import Anthropic, APIError, APIStatusError

from tests.conformance.matrix.talk import Ask, Called, Failed, Reason, Result, Said, Turn, User

STOP: dict[str | None, Reason] = {
    "end_turn": "end",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool",
    "refusal": "refusal",
}
THINKING_TOKENS = 1024


class AnthropicMessages:
    """client.messages, streams put together by the SDK itself."""

    name = "anthropic"
    lacks: frozenset[str] = frozenset()

    def __init__(self, client: Anthropic) -> None:
        self._client = client

    def close(self) -> None:
        self._client.close()

    def ask(self, model: str, ask: Ask, *, stream: bool) -> Said:
        request: dict[str, Any] = {
            "model": model,
            "max_tokens": ask.limit,
            "messages": [self._message(turn) for turn in ask.turns],
        }
        if ask.system is not None:
            request["system"] = ask.system
        if ask.tools:
            request["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in ask.tools
            ]
        if ask.force:
            request["tool_choice"] = {"type": "tool", "name": ask.force}
        if ask.thinking:
            request["thinking"] = {"type": "enabled", "budget_tokens": THINKING_TOKENS}
        if ask.stop:
            request["stop_sequences"] = list(ask.stop)
        if ask.schema:
            request["output_config"] = {"format": {"type": "json_schema", "schema": ask.schema}}
        texts: list[str] = []
        try:
            if not stream:
                answer: Any = self._client.messages.create(**request)
            else:
                with self._client.messages.stream(**request) as events:
                    texts.extend(events.text_stream)
                    answer = events.get_final_message()
        except APIStatusError as error:
            in_stream = bool(texts) or error.response.status_code == 200
            status = 0 if in_stream else error.status_code
            raise Failed(status, str(error.body or error), "".join(texts)) from error
        except APIError as error:
            raise Failed(0, error.message, "".join(texts)) from error
        usage = answer.usage
        written, read = usage.cache_creation_input_tokens or 0, usage.cache_read_input_tokens or 0
        return Said(
            text="".join(block.text for block in answer.content if block.type == "text"),
            reason=STOP[answer.stop_reason],
            calls=tuple(
                Called(id=block.id, name=block.name, arguments=dict(block.input))
                for block in answer.content
                if block.type == "tool_use"
            ),
            thought="".join(block.thinking for block in answer.content if block.type == "thinking"),
            prompt_tokens=usage.input_tokens + written + read,
            cached_tokens=read,
            output_tokens=usage.output_tokens,
            native=[_to_param(block) for block in answer.content],
        )

    def _message(self, turn: Turn) -> dict[str, Any]:
        if isinstance(turn, User):
            return {"role": "user", "content": list(_parts(turn.text, turn.image_png))}
        if isinstance(turn, Said):
            return {"role": "assistant", "content": turn.native}
        return {"role": "user", "content": [self._result(result) for result in turn.of]}

    def _result(self, result: Result) -> dict[str, Any]:
        return {
            "type": "tool_result",
            "tool_use_id": result.call.id,
            "is_error": result.is_error,
            "content": list(_parts(result.text, result.image_png)),
        }


def _parts(text: str, png: bytes | None) -> Iterator[dict[str, Any]]:
    yield {"type": "text", "text": text}
    if png is not None:
        data = base64.b64encode(png).decode()
        yield {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


def _to_param(block: Any) -> dict[str, Any]:
    """What the API takes back of what it gave."""
    known = {
        "text": ("type", "text"),
        "tool_use": ("type", "id", "name", "input"),
        "thinking": ("type", "thinking", "signature"),
        "redacted_thinking": ("type", "data"),
    }[block.type]
    return {name: value for name, value in block.to_dict().items() if name in known}
