"""Whole OpenAI answers: take the usage, name the model that was asked for, add the cost; the rest stays byte for byte."""

from typing import Any

import msgspec

from tt_common.rating import Usage
from tt_edge.protocols.openai.usage import parse_usage
from tt_edge.protocols.passthrough import with_cost, with_fields


class _Fields(msgspec.Struct):
    """The fields that are read, as they stand in the body; empty where absent."""

    model: msgspec.Raw = msgspec.Raw()
    usage: msgspec.Raw = msgspec.Raw()
    choices: msgspec.Raw = msgspec.Raw()
    data: msgspec.Raw = msgspec.Raw()
    service_tier: Any = None


class Answer(msgspec.Struct, frozen=True):
    """A provider's JSON answer. `usage` is None where it had no usable figure; the other fields as they stand in `body`."""

    body: bytes
    raw_model: bytes
    raw_usage: bytes
    raw_choices: bytes
    usage: Usage | None
    service_tier: str = ""

    def texts(self) -> list[str]:
        """See `WholeAnswer`; vectors are no texts."""
        return answer_texts(self) if self.raw_choices else []

    def rendered(self, model: str, cost_usd: str) -> bytes:
        """See `WholeAnswer`."""
        return render_answer(self, model, cost_usd)


class _Message(msgspec.Struct):
    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    tool_calls: Any = None


class _Choice(msgspec.Struct):
    message: _Message | None = None


_decoder = msgspec.json.Decoder(_Fields)
_choices_decoder = msgspec.json.Decoder(list[_Choice] | None)


def parse_answer(body: bytes, kind: str) -> Answer | None:
    """The answer, or None where the body is not one (then another provider may be tried)."""
    try:
        fields = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    choices, raw_usage = bytes(fields.choices), bytes(fields.usage)
    if not (choices if kind == "chat" else bytes(fields.data)):
        return None
    usage = parse_usage(raw_usage) if raw_usage else None
    tier = fields.service_tier if isinstance(fields.service_tier, str) else ""
    return Answer(body, bytes(fields.model), raw_usage, choices, usage, tier)


def answer_texts(answer: Answer) -> list[str]:
    """Everything the model wrote, for counting where the provider reported no usage."""
    try:
        choices = _choices_decoder.decode(answer.raw_choices or b"[]") or []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return [answer.raw_choices.decode(errors="replace")]
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
    """The body for the client; one that is no UTF-8 throughout leaves as it came."""
    try:
        return _changed(answer, model, cost_usd)
    except (UnicodeDecodeError, RecursionError):
        return answer.body


def _changed(answer: Answer, model: str, cost_usd: str) -> bytes:
    changes: dict[str, tuple[bytes, bytes]] = {}
    if answer.raw_model:
        changes["model"] = (answer.raw_model, msgspec.json.encode(model))
    if answer.raw_usage[:1] == b"{":
        changes["usage"] = (answer.raw_usage, with_cost(answer.raw_usage, cost_usd))
    return with_fields(answer.body, changes)
