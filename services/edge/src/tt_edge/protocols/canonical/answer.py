"""A chat answer without a protocol: whole, or as events.

Invariant: the events of a stream, put together, are the whole answer. A dialect's reader makes events of bytes, a client protocol's
writer makes bytes of events; blocks open and close by the events' kinds, so a writer decides itself how its protocol frames them.
"""

from typing import Literal

import msgspec

from tt_common.rating import Usage
from tt_edge.protocols.canonical.request import Text, Thinking, ToolUse, Vendor

Reason = Literal["end", "stop_sequence", "length", "tool_use", "refusal", "pause"]
"""Why a choice ended. `end` for whatever a vendor invents later."""


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """`sequence`: the stop sequence that was hit, where the vendor says so. `detail`: the vendor's own word, such as SAFETY."""

    reason: Reason
    sequence: str | None = None
    detail: str = ""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    blocks: tuple[Text | Thinking | ToolUse, ...]
    ending: Ending
    refusal: str = ""
    """What the model said instead of an answer, where the vendor keeps it apart."""


class ChatAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`usage` is None where the provider gave no usable figure; `service_tier` as the provider named it."""

    choices: tuple[Choice, ...]
    usage: Usage | None
    service_tier: str = ""


class TextDelta(msgspec.Struct, frozen=True):
    text: str
    choice: int = 0


class RefusalDelta(msgspec.Struct, frozen=True):
    text: str
    choice: int = 0


class ThinkingDelta(msgspec.Struct, frozen=True):
    text: str
    choice: int = 0


class ThinkingSigned(msgspec.Struct, frozen=True):
    """The signature of the thought so far, whole; the thought ends with it. `redacted`: a thought of which there is nothing else."""

    signature: str
    vendor: Vendor
    redacted: bool = False
    choice: int = 0


class ToolStarted(msgspec.Struct, frozen=True):
    """`index` counts the tool calls of a choice, from 0, in the order they start."""

    index: int
    id: str
    name: str
    signature: str = ""
    choice: int = 0


class ToolDelta(msgspec.Struct, frozen=True):
    """A piece of the arguments' JSON text of the tool call `index`; never empty."""

    index: int
    arguments: str
    choice: int = 0


class Ended(msgspec.Struct, frozen=True):
    """A choice is over."""

    ending: Ending
    choice: int = 0


class Metered(msgspec.Struct, frozen=True):
    """The provider's figure so far; a later one replaces it."""

    usage: Usage
    service_tier: str = ""


class PromptMetered(msgspec.Struct, frozen=True):
    """What the provider says of the prompt before it answers; nothing of the output."""

    usage: Usage


class Failed(msgspec.Struct, frozen=True):
    """The provider broke off with an error of its own; nothing follows. `overloaded`: the vendor says that it is."""

    message: str
    overloaded: bool = False


class Finished(msgspec.Struct, frozen=True):
    """The provider's terminal marker: the stream is whole."""


Event = (
    TextDelta
    | RefusalDelta
    | ThinkingDelta
    | ThinkingSigned
    | ToolStarted
    | ToolDelta
    | Ended
    | Metered
    | PromptMetered
    | Failed
    | Finished
)
