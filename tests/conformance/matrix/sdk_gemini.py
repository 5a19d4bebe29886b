"""Google's SDK: generate_content."""

from typing import Any

import httpx
from google import genai
from google.genai import errors, types

from tests.conformance.matrix.talk import Ask, Called, Failed, Reason, Said, Turn, User

FINISH: dict[str, Reason] = {
    "STOP": "end",
    "MAX_TOKENS": "length",
    "SAFETY": "refusal",
    "RECITATION": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "OTHER": "refusal",
}


class GeminiContents:
    """client.models.generate_content; a stream's pieces are put together here, the SDK leaves it to its caller."""

    name = "google-genai"
    lacks: frozenset[str] = frozenset()

    def __init__(self, client: genai.Client) -> None:
        self._client = client

    def close(self) -> None:
        self._client.close()

    def ask(self, model: str, ask: Ask, *, stream: bool) -> Said:
        config = types.GenerateContentConfig(
            system_instruction=ask.system,
            max_output_tokens=ask.limit,
            stop_sequences=list(ask.stop) or None,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )
        if ask.tools:
            declared = [
                types.FunctionDeclaration(
                    name=tool.name, description=tool.description, parameters_json_schema=tool.schema
                )
                for tool in ask.tools
            ]
            config.tools = [types.Tool(function_declarations=declared)]
        if ask.force:
            calling = types.FunctionCallingConfig(
                mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=[ask.force]
            )
            config.tool_config = types.ToolConfig(function_calling_config=calling)
        if ask.thinking:
            config.thinking_config = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
        if ask.schema:
            config.response_mime_type = "application/json"
            config.response_json_schema = ask.schema
        contents: Any = [self._content(turn) for turn in ask.turns]
        pieces: list[types.GenerateContentResponse] = []
        try:
            if stream:
                pieces.extend(
                    self._client.models.generate_content_stream(model=model, contents=contents, config=config)
                )
            else:
                pieces.append(self._client.models.generate_content(model=model, contents=contents, config=config))
        except errors.APIError as error:
            said = _said(pieces)
            raise Failed(error.code if not said else 0, str(error.message), said) from error
        except (httpx.HTTPError, ValueError) as error:
            raise Failed(0, str(error), _said(pieces)) from error
        return self._whole(pieces)

    def _whole(self, pieces: list[types.GenerateContentResponse]) -> Said:
        parts = _parts(pieces)
        reason = self._reason(pieces)
        usage = next(piece.usage_metadata for piece in reversed(pieces) if piece.usage_metadata is not None)
        calls = tuple(
            Called(
                id=part.function_call.id or "",
                name=part.function_call.name or "",
                arguments=part.function_call.args or {},
            )
            for part in parts
            if part.function_call is not None
        )
        return Said(
            text=_said(pieces),
            reason="tool" if calls and reason == "end" else reason,
            calls=calls,
            thought="".join(part.text or "" for part in parts if part.thought),
            prompt_tokens=usage.prompt_token_count or 0,
            cached_tokens=usage.cached_content_token_count or 0,
            output_tokens=(usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
            native=types.Content(role="model", parts=parts),
        )

    def _reason(self, pieces: list[types.GenerateContentResponse]) -> Reason:
        for piece in reversed(pieces):
            for candidate in piece.candidates or ():
                if candidate.finish_reason is not None:
                    return FINISH[candidate.finish_reason.value]
        if any(piece.prompt_feedback is not None and piece.prompt_feedback.block_reason for piece in pieces):
            return "refusal"
        raise Failed(0, "the stream has no end", _said(pieces))

    def _content(self, turn: Turn) -> types.Content:
        if isinstance(turn, Said):
            return turn.native
        if isinstance(turn, User):
            parts = [types.Part.from_text(text=turn.text)]
            if turn.image_png is not None:
                parts.append(types.Part.from_bytes(data=turn.image_png, mime_type="image/png"))
            return types.Content(role="user", parts=parts)
        return types.Content(
            role="user",
            parts=[
                types.Part(
                    function_response=types.FunctionResponse(
                        id=result.call.id or None,
                        name=result.call.name,
                        response={"error" if result.is_error else "output": result.text},
                    )
                )
                for result in turn.of
            ],
        )


def _parts(pieces: list[types.GenerateContentResponse]) -> list[types.Part]:
    found: list[types.Part] = []
    for piece in pieces:
        for candidate in piece.candidates or ():
            if candidate.content is not None:
                found += candidate.content.parts or []
    return found


def _said(pieces: list[types.GenerateContentResponse]) -> str:
    return "".join(part.text or "" for part in _parts(pieces) if not part.thought)
