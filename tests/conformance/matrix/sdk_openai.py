"""OpenAI's SDK: chat completions, and the Responses API."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from openai import APIError, APIStatusError, OpenAI
from openai.lib.streaming.chat import ChatCompletionStreamState

from tests.conformance.matrix.talk import Ask, Called, Failed, Reason, Result, Said, User

FINISH: dict[str | None, Reason] = {
    "stop": "end",
    "length": "length",
    "tool_calls": "tool",
    "content_filter": "refusal",
}


def data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


@contextmanager
def failures(said: list[str]) -> Iterator[None]:
    try:
        yield
    except APIStatusError as error:
        raise Failed(error.status_code, error.message, "".join(said)) from error
    except APIError as error:
        raise Failed(0, error.message, "".join(said)) from error


class OpenAIChat:
    """client.chat.completions, streams put together by the SDK itself."""

    name = "openai chat"
    lacks: frozenset[str] = frozenset()

    def __init__(self, client: OpenAI) -> None:
        self._client = client

    def close(self) -> None:
        self._client.close()

    def ask(self, model: str, ask: Ask, *, stream: bool) -> Said:
        request: Any = given(
            model=model,
            messages=list(self._messages(ask)),
            max_completion_tokens=ask.limit,
            tools=[
                {
                    "type": "function",
                    "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
                }
                for tool in ask.tools
            ]
            or None,
            tool_choice={"type": "function", "function": {"name": ask.force}} if ask.force else None,
            reasoning_effort="low" if ask.thinking else None,
            stop=list(ask.stop) or None,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": ask.schema, "strict": True},
            }
            if ask.schema
            else None,
        )
        texts: list[str] = []
        with failures(texts):
            if not stream:
                answer: Any = self._client.chat.completions.create(**request)
            else:
                options: Any = {"include_usage": True}
                state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
                for chunk in self._client.chat.completions.create(**request, stream=True, stream_options=options):
                    texts.extend(part.delta.content or "" for part in chunk.choices)
                    state.handle_chunk(chunk)
                answer = state.current_completion_snapshot
        choice = answer.choices[0]
        message = choice.message
        reason = FINISH[choice.finish_reason]
        if message.refusal:
            reason = "refusal"
        native = {k: v for k, v in message.to_dict().items() if v is not None and k != "parsed"}
        for call in native.get("tool_calls") or ():
            call["function"].pop("parsed_arguments", None)
            call.pop("index", None)
        return Said(
            text=(message.content or "") + (message.refusal or ""),
            reason=reason,
            calls=tuple(
                Called(id=call.id, name=call.function.name, arguments=json.loads(call.function.arguments))
                for call in message.tool_calls or ()
            ),
            thought=(message.model_extra or {}).get("reasoning_content") or "",
            prompt_tokens=answer.usage.prompt_tokens,
            cached_tokens=answer.usage.prompt_tokens_details.cached_tokens,
            output_tokens=answer.usage.completion_tokens,
            native=native,
        )

    def _messages(self, ask: Ask) -> Iterator[Any]:
        if ask.system is not None:
            yield {"role": "system", "content": ask.system}
        for turn in ask.turns:
            if isinstance(turn, User):
                parts: list[Any] = [{"type": "text", "text": turn.text}]
                if turn.image_png is not None:
                    parts.append({"type": "image_url", "image_url": {"url": data_url(turn.image_png)}})
                yield {"role": "user", "content": parts if turn.image_png else turn.text}
            elif isinstance(turn, Said):
                yield turn.native
            else:
                for result in turn.of:
                    yield {"role": "tool", "tool_call_id": result.call.id, "content": self._content(result)}

    def _content(self, result: Result) -> str:
        """Tool messages have text alone."""
        return result.text


class OpenAIResponses:
    """client.responses, streams put together by the SDK itself."""

    name = "openai responses"
    lacks = frozenset({"stop sequence"})

    def __init__(self, client: OpenAI) -> None:
        self._client = client

    def close(self) -> None:
        self._client.close()

    def ask(self, model: str, ask: Ask, *, stream: bool) -> Said:
        request: Any = given(
            model=model,
            input=[item for turn in ask.turns for item in self._items(turn)],
            instructions=ask.system,
            max_output_tokens=ask.limit,
            store=False,
            tools=[
                {"type": "function", "strict": False, **given(name=tool.name, description=tool.description)}
                | {"parameters": tool.schema}
                for tool in ask.tools
            ]
            or None,
            tool_choice={"type": "function", "name": ask.force} if ask.force else None,
            reasoning={"effort": "low", "summary": "auto"} if ask.thinking else None,
            include=["reasoning.encrypted_content"] if ask.thinking else None,
            text={"format": {"type": "json_schema", "name": "answer", "schema": ask.schema, "strict": True}}
            if ask.schema
            else None,
        )
        texts: list[str] = []
        with failures(texts):
            if not stream:
                answer: Any = self._client.responses.create(**request)
            else:
                answer = self._streamed(request, texts)
        output = [item.to_dict() for item in answer.output]
        refusals = [
            part["refusal"] for item in output for part in item.get("content") or () if part["type"] == "refusal"
        ]
        calls = tuple(
            Called(id=item["call_id"], name=item["name"], arguments=json.loads(item["arguments"]))
            for item in output
            if item["type"] == "function_call"
        )
        thoughts = [part["text"] for item in output if item["type"] == "reasoning" for part in item["summary"]]
        return Said(
            text=answer.output_text + "".join(refusals),
            reason=self._reason(answer, calls, refusals),
            calls=calls,
            thought="".join(thoughts),
            prompt_tokens=answer.usage.input_tokens,
            cached_tokens=answer.usage.input_tokens_details.cached_tokens,
            output_tokens=answer.usage.output_tokens,
            native=[{name: value for name, value in item.items() if name != "status"} for item in output],
        )

    def _streamed(self, request: Any, texts: list[str]) -> Any:
        last: Any = None
        for event in self._client.responses.create(**request, stream=True):
            if event.type == "response.output_text.delta":
                texts.append(event.delta)
            if event.type == "error":
                raise Failed(0, event.message, "".join(texts))
            last = event
        if last is None or last.type not in ("response.completed", "response.incomplete"):
            raise Failed(0, "the stream has no end", "".join(texts))
        return last.response

    def _reason(self, answer: Any, calls: tuple[Called, ...], refusals: list[str]) -> Reason:
        if refusals:
            return "refusal"
        if answer.status == "incomplete":
            return "length" if answer.incomplete_details.reason == "max_output_tokens" else "refusal"
        return "tool" if calls else "end"

    def _items(self, turn: Any) -> Iterator[Any]:
        if isinstance(turn, User):
            parts: list[Any] = [{"type": "input_text", "text": turn.text}]
            if turn.image_png is not None:
                parts.append({"type": "input_image", "image_url": data_url(turn.image_png), "detail": "auto"})
            yield {"role": "user", "content": parts}
        elif isinstance(turn, Said):
            yield from turn.native
        else:
            for result in turn.of:
                yield {"type": "function_call_output", "call_id": result.call.id, "output": self._output(result)}

    def _output(self, result: Result) -> Any:
        if result.image_png is None:
            return result.text
        return [
            {"type": "input_text", "text": result.text},
            {"type": "input_image", "image_url": data_url(result.image_png), "detail": "auto"},
        ]
