"""Whole messages of Anthropic: take the usage, name the model that was asked for, add the cost; the rest stays byte for byte."""

from typing import Any

import msgspec

from tt_common.rating import Usage
from tt_edge.protocols.anthropic.usage import read_usage, usage_of
from tt_edge.protocols.passthrough import with_cost, with_fields


class _Fields(msgspec.Struct):
    """The fields that are read, as they stand in the body; empty where absent."""

    content: msgspec.Raw
    model: msgspec.Raw = msgspec.Raw()
    usage: msgspec.Raw = msgspec.Raw()


class _Block(msgspec.Struct):
    text: Any = None
    thinking: Any = None
    name: Any = None
    input: Any = None


_decoder = msgspec.json.Decoder(_Fields)
_blocks_decoder = msgspec.json.Decoder(list[_Block])
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Answer(msgspec.Struct, frozen=True):
    """See `WholeAnswer`."""

    body: bytes
    raw_model: bytes
    raw_usage: bytes
    raw_content: bytes
    usage: Usage | None
    service_tier: str

    def texts(self) -> list[str]:
        try:
            blocks = _blocks_decoder.decode(self.raw_content)
        except UNREADABLE:
            return [self.raw_content.decode(errors="replace")]
        texts: list[str] = []
        for block in blocks:
            texts += [value for value in (block.text, block.thinking) if isinstance(value, str)]
            if block.input is not None:
                texts.append(f"{block.name}{msgspec.json.encode(block.input).decode()}")
        return texts

    def rendered(self, model: str, cost_usd: str) -> bytes:
        changes: dict[str, tuple[bytes, bytes]] = {}
        if self.raw_model:
            changes["model"] = (self.raw_model, msgspec.json.encode(model))
        if self.raw_usage[:1] == b"{":
            changes["usage"] = (self.raw_usage, with_cost(self.raw_usage, cost_usd))
        try:
            return with_fields(self.body, changes)
        except (UnicodeDecodeError, RecursionError):
            return self.body


def parse_answer(body: bytes, *, hour_cache: bool) -> Answer | None:
    """The message, or None where the body is none (then another provider may be tried)."""
    try:
        fields = _decoder.decode(body)
    except UNREADABLE:
        return None
    if bytes(fields.content)[:1] != b"[":
        return None
    wire = read_usage(fields.usage)
    usage = None if wire is None else usage_of(wire, hour_cache=hour_cache)
    return Answer(
        body, bytes(fields.model), bytes(fields.usage), bytes(fields.content), usage, wire.tier if wire else ""
    )
