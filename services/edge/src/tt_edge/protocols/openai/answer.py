"""Whole OpenAI answers: take the usage, name the model that was asked for, add the cost; the rest stays byte for byte."""

from typing import Any

import msgspec

from tt_common.rating import Usage
from tt_edge.protocols.openai.usage import parse_usage, with_cost


class Answer(msgspec.Struct, frozen=True):
    """A provider's JSON answer. `usage` is None where it had no usable figure."""

    fields: dict[str, msgspec.Raw]
    usage: Usage | None


class _Message(msgspec.Struct):
    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    tool_calls: Any = None


class _Choice(msgspec.Struct):
    message: _Message | None = None


_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_choices_decoder = msgspec.json.Decoder(list[_Choice] | None)


def parse_answer(body: bytes, kind: str) -> Answer | None:
    """The answer, or None where the body is not one (then another provider may be tried)."""
    try:
        fields = _fields_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if ("choices" if kind == "chat" else "data") not in fields:
        return None
    raw_usage = fields.get("usage")
    return Answer(fields, None if raw_usage is None else parse_usage(raw_usage))


def answer_texts(answer: Answer) -> list[str]:
    """Everything the model wrote, for counting where the provider reported no usage."""
    try:
        choices = _choices_decoder.decode(answer.fields.get("choices", b"[]")) or []
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return [bytes(answer.fields["choices"]).decode(errors="replace")]
    texts: list[str] = []
    for choice in choices:
        if choice.message is not None:
            for value in (choice.message.content, choice.message.refusal, choice.message.reasoning_content):
                if isinstance(value, str):
                    texts.append(value)
            if choice.message.tool_calls:
                texts.append(msgspec.json.encode(choice.message.tool_calls).decode())
    return texts


def render_answer(answer: Answer, model: str, cost_usd: str) -> bytes:
    """The body for the client."""
    fields = answer.fields
    if "model" in fields:
        fields["model"] = msgspec.Raw(msgspec.json.encode(model))
    raw_usage = fields.get("usage")
    if raw_usage is not None and bytes(raw_usage)[:1] == b"{":
        fields["usage"] = with_cost(raw_usage, cost_usd)
    return msgspec.json.encode(fields)
