"""The canonical request as Gemini's: turns joined, results of tools with their calls, thoughts with their signatures, the settings."""

import mimetypes
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from tt_edge.protocols.canonical.request import (
    Audio,
    Block,
    ChatRequest,
    Document,
    Format,
    Image,
    Inexpressible,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from tt_edge.protocols.gemini.schema import gemini_schema

Json = dict[str, Any]
STOPS_MAX: Final = 5
CHOICES_MAX: Final = 8
TIERS: Final = ("standard", "flex", "priority")
NO_SIGNATURE: Final = "skip_thought_signature_validator"
"""What Google's documentation gives to callers that have no signature to send back."""
BUDGETS: Final = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576, "xhigh": 24_576}
"""As Google's own OpenAI-compatible endpoint maps efforts."""
PRO_BUDGET_MIN: Final = 128
"""Pro models can't stop thinking; this is the least."""
VERSION: Final = re.compile(r"gemini-(\d+(?:\.\d+)?)")


class Ability(msgspec.Struct, frozen=True):
    """What a model takes, by its name. One without a version, such as `gemini-flash-latest`, is a present one; a stranger is an old one."""

    json_schema: bool
    levels: bool
    """Thinks by levels, and insists on signatures."""
    pro: bool


def ability_of(upstream_model: str) -> Ability:
    version = VERSION.search(upstream_model)
    unnamed = 3.0 if upstream_model.startswith("gemini-") else 0.0
    number = float(version[1]) if version is not None else unnamed
    return Ability(json_schema=number >= 2.5, levels=number >= 3, pro="pro" in upstream_model)


def outgoing_body(asked: ChatRequest, upstream_model: str, output_limit: int | None) -> Json:
    """The body of generateContent. Raises Inexpressible."""
    ability = ability_of(upstream_model)
    contents = _contents(asked.turns, ability)
    system = [{"text": text.text} for text in asked.system if text.text]
    body: Json = {}
    if not contents:
        contents, system = [{"role": "user", "parts": system or [{"text": " "}]}], []
    if system:
        body["systemInstruction"] = {"parts": system}
    body["contents"] = contents
    if asked.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool, ability) for tool in asked.tools]}]
        if asked.tool_choice is not None:
            body["toolConfig"] = {"functionCallingConfig": _calling(asked.tool_choice)}
    if asked.service_tier is not None:
        if asked.service_tier not in TIERS:
            raise Inexpressible("service_tier", f"it must be one of {', '.join(TIERS)}.")
        body["serviceTier"] = asked.service_tier
    if config := _config(asked, ability, output_limit):
        body["generationConfig"] = config
    return body


# -- settings -----------------------------------------------------------------------------------------------------------


def _config(asked: ChatRequest, ability: Ability, output_limit: int | None) -> Json:
    if len(asked.stop) > STOPS_MAX:
        raise Inexpressible("stop", f"at most {STOPS_MAX} stop sequences.")
    if asked.choices > CHOICES_MAX:
        raise Inexpressible("choices", f"at most {CHOICES_MAX} answers.")
    config: Json = {
        "maxOutputTokens": output_limit if output_limit is not None else asked.output_limit,
        "candidateCount": asked.choices if asked.choices > 1 else None,
        "temperature": asked.temperature,
        "topP": asked.top_p,
        "topK": asked.top_k,
        "stopSequences": list(asked.stop) or None,
        "seed": asked.seed,
        "frequencyPenalty": asked.frequency_penalty,
        "presencePenalty": asked.presence_penalty,
        "thinkingConfig": _thinking(asked.reasoning, ability),
        **_format(asked.format, ability),
    }
    return {name: value for name, value in config.items() if value is not None}


def _format(wanted: Format | None, ability: Ability) -> Json:
    if wanted is None:
        return {}
    mime: Json = {"responseMimeType": "application/json"}
    if wanted.schema is None:
        return mime
    if ability.json_schema:
        return {**mime, "responseJsonSchema": wanted.schema}
    return {**mime, "responseSchema": gemini_schema(wanted.schema)}


def _thinking(reasoning: Reasoning | None, ability: Ability) -> Json | None:
    if reasoning is None:
        return None
    shown: Json = {"includeThoughts": True} if reasoning.show and not reasoning.off else {}
    if reasoning.budget_tokens is not None and not reasoning.off:
        return {**shown, "thinkingBudget": reasoning.budget_tokens}
    if not reasoning.off and reasoning.effort is None:
        return shown or None
    effort = None if reasoning.off else reasoning.effort
    if ability.levels:
        return {**shown, "thinkingLevel": _level(effort, ability)}
    if effort is None:
        return {"thinkingBudget": PRO_BUDGET_MIN if ability.pro else 0}
    return {**shown, "thinkingBudget": BUDGETS[effort]}


def _level(effort: str | None, ability: Ability) -> str:
    """No model of these stops thinking: the least is what comes nearest."""
    if effort in ("medium", "high", "xhigh"):
        return "medium" if effort == "medium" else "high"
    return "low" if ability.pro or effort == "low" else "minimal"


def _declaration(tool: Tool, ability: Ability) -> Json:
    declared: Json = {"name": tool.name}
    if tool.description:
        declared["description"] = tool.description
    if tool.schema is None:
        return declared
    if ability.json_schema:
        return {**declared, "parametersJsonSchema": tool.schema}
    schema = gemini_schema(tool.schema)
    takes_something = schema.get("type") != "OBJECT" or schema.get("properties")
    return {**declared, "parameters": schema} if takes_something else declared


def _calling(choice: ToolChoice) -> Json:
    """`auto` among some is what Google calls VALIDATED."""
    if not choice.names:
        return {"mode": {"auto": "AUTO", "none": "NONE", "any": "ANY", "tool": "ANY"}[choice.mode]}
    return {"mode": "VALIDATED" if choice.mode == "auto" else "ANY", "allowedFunctionNames": list(choice.names)}


# -- turns --------------------------------------------------------------------------------------------------------------


def _contents(turns: Iterable[Turn], ability: Ability) -> list[Json]:
    """Turns of one role joined; those without parts are left out, for Gemini takes none."""
    joined: list[tuple[str, list[Block]]] = []
    for turn in turns:
        if joined and joined[-1][0] == turn.role:
            joined[-1][1].extend(turn.blocks)
        elif turn.blocks:
            joined.append((turn.role, list(turn.blocks)))
    contents: list[Json] = []
    calls: list[ToolUse] = []
    for role, blocks in joined:
        if role == "assistant":
            parts = _model_parts(blocks, ability)
            calls = [block for block in blocks if isinstance(block, ToolUse)]
        else:
            parts, calls = _user_parts(blocks, calls), []
        if parts:
            contents.append({"role": "model" if role == "assistant" else "user", "parts": parts})
    return contents


def _model_parts(blocks: list[Block], ability: Ability) -> list[Json]:
    parts: list[Json] = []
    called = False
    for block in blocks:
        if isinstance(block, ToolUse):
            call: Json = {"name": block.name, "args": _arguments(block.arguments), "id": block.id}
            part: Json = {"functionCall": call}
            if signature := block.signature or (NO_SIGNATURE if ability.levels and not called else ""):
                part["thoughtSignature"] = signature
            called = True
            parts.append(part)
        elif isinstance(block, Thinking):
            parts += _thought(block)
        else:
            parts += _parts(block)
    return parts


def _thought(thought: Thinking) -> list[Json]:
    """Only what Gemini signed goes back to it; a signature alone stands where Google puts it itself, in a part without text."""
    if thought.vendor != "gemini" or not thought.signature:
        return []
    if thought.redacted:
        return [{"text": "", "thoughtSignature": thought.signature}]
    return [{"text": thought.text, "thought": True, "thoughtSignature": thought.signature}]


def _arguments(text: str) -> Json:
    """The call's arguments; what is no object is told as it was written, so that the model sees what it did."""
    try:
        value = msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = text
    return value if isinstance(value, dict) else {"arguments": value}


def _user_parts(blocks: list[Block], calls: list[ToolUse]) -> list[Json]:
    """Responses first, in the order of their calls, as Gemini wants them; pictures of a response behind all of them."""
    order = {call.id: at for at, call in enumerate(calls)}
    responses: list[tuple[int, Json]] = []
    parts: list[Json] = []
    for block in blocks:
        if not isinstance(block, ToolResult):
            parts += _parts(block)
            continue
        media = [part for item in block.content if not isinstance(item, Text) for part in _parts(item)]
        if block.id in order:
            responses.append((order[block.id], _response(block, calls[order[block.id]].name)))
        else:
            parts.append({"text": f"Result of the tool call {block.id}: {_said(block)}"})
        if media:
            parts += [{"text": f"Attached to the result of {block.name or 'the tool'}:"}, *media]
    return [part for _, part in sorted(responses, key=lambda response: response[0])] + parts


def _said(result: ToolResult) -> str:
    return "\n".join(item.text for item in result.content if isinstance(item, Text))


def _response(result: ToolResult, name: str) -> Json:
    """An object as it is; anything else under the keys that Google names for it."""
    said = _said(result)
    response: Json = {"error" if result.is_error else "output": said}
    if not result.is_error and said[:1] == "{":
        try:
            value = msgspec.json.decode(said)
            response = value if isinstance(value, dict) else response
        except (msgspec.DecodeError, RecursionError):
            pass  # it only looks like an object
    return {"functionResponse": {"name": name, "id": result.id, "response": response}}


def _parts(block: Block) -> list[Json]:
    match block:
        case Text():
            return [{"text": block.text}] if block.text else []
        case Image() | Document() if block.data:
            return [{"inlineData": {"mimeType": block.media_type, "data": block.data}}]
        case Document() if block.text:
            return [{"text": f"{block.title}\n{block.text}" if block.title else block.text}]
        case Image() | Document() if block.url:
            fallback = "image/jpeg" if isinstance(block, Image) else "application/pdf"
            kind = block.media_type or mimetypes.guess_type(block.url.partition("?")[0])[0] or fallback
            return [{"fileData": {"fileUri": block.url, "mimeType": kind}}]
        case Audio():
            return [{"inlineData": {"mimeType": f"audio/{block.format}", "data": block.data}}]
        case _:
            return []
