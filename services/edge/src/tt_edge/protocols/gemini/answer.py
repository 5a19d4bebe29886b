"""Whole Gemini answers: take the usage, name the model that was asked for, add the cost; the rest stays byte for byte."""

from typing import Any, Final

import msgspec

from tt_common.rating import Usage
from tt_edge.protocols.gemini.usage import Grounding, parse_metered, with_cost, with_searches

VERSION: Final = b'"modelVersion"'


class _Fields(msgspec.Struct):
    """The fields that are read, as they stand in the body; empty where absent."""

    version: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="modelVersion")
    usage: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="usageMetadata")
    candidates: msgspec.Raw = msgspec.Raw()
    feedback: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="promptFeedback")


class Part(msgspec.Struct):
    """What of a part is counted where the provider reports no usage."""

    text: Any = None
    function_call: Any = msgspec.field(default=None, name="functionCall")
    code: Any = msgspec.field(default=None, name="executableCode")


class Content(msgspec.Struct):
    parts: list[Part] | None = None


class Candidate(msgspec.Struct):
    index: int = 0
    content: Content | None = None
    finish: str | None = msgspec.field(default=None, name="finishReason")
    grounding: Grounding | None = msgspec.field(default=None, name="groundingMetadata")


_decoder = msgspec.json.Decoder(_Fields)
_all_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_candidates_decoder = msgspec.json.Decoder(list[Candidate] | None)
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Answer(msgspec.Struct, frozen=True):
    """A provider's JSON answer; see `WholeAnswer`. The raw fields are as they stand in `body`."""

    body: bytes
    raw_version: bytes
    raw_usage: bytes
    raw_candidates: bytes
    usage: Usage | None
    service_tier: str

    def texts(self) -> list[str]:
        candidates = _candidates(self.raw_candidates)
        if candidates is None:
            return [self.raw_candidates.decode(errors="replace")]
        return [text for candidate in candidates for text in candidate_texts(candidate)]

    def rendered(self, model: str, cost_usd: str) -> bytes:
        try:
            return rendered(self.body, self.raw_version, model, self.raw_usage, cost_usd)
        except UNREADABLE:
            return self.body


def parse_answer(body: bytes) -> Answer | None:
    """The answer, or None where the body is not one: neither candidates nor a reason why there are none."""
    try:
        fields = _decoder.decode(body)
    except UNREADABLE:
        return None
    candidates, raw_usage = bytes(fields.candidates), bytes(fields.usage)
    if candidates[:1] != b"[" and bytes(fields.feedback)[:1] != b"{":
        return None
    usage, tier = parse_metered(raw_usage)
    if b"webSearchQueries" in candidates:
        usage = with_searches(usage, [candidate.grounding for candidate in _candidates(candidates) or ()])
    return Answer(body, bytes(fields.version), raw_usage, candidates, usage, tier)


def _candidates(raw: bytes) -> list[Candidate] | None:
    """None where they are not what they should be."""
    try:
        return _candidates_decoder.decode(raw or b"[]") or []
    except UNREADABLE:
        return None


def candidate_texts(candidate: Candidate) -> list[str]:
    """Everything that a candidate says: texts, thoughts, calls, code."""
    texts: list[str] = []
    for part in (candidate.content.parts if candidate.content is not None else None) or ():
        if isinstance(part.text, str) and part.text:
            texts.append(part.text)
        for value in (part.function_call, part.code):
            if value:
                texts.append(msgspec.json.encode(value).decode())
    return texts


def rendered(body: bytes, raw_version: bytes, model: str, raw_usage: bytes, cost_usd: str | None) -> bytes:
    """A body (or the data of an event) with the model that was asked for, and with the cost where there is one."""
    changes: list[tuple[str, bytes, bytes]] = []
    if raw_version[:1] == b'"':
        changes.append(("modelVersion", raw_version, msgspec.json.encode(model)))
    if cost_usd is not None and raw_usage[:1] == b"{":
        changes.append(("usageMetadata", raw_usage, with_cost(raw_usage, cost_usd)))
    for _, old, new in changes:
        if body.count(old) != 1:  # it stands elsewhere too, so only a parser knows which one is meant
            fields = _all_fields_decoder.decode(body)
            fields.update({name: msgspec.Raw(value) for name, _, value in changes})
            return msgspec.json.encode(fields)
        body = body.replace(old, new)
    return body
