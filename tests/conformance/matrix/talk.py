"""What a case asks and what came of it, whichever SDK asked."""

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Reason = Literal["end", "length", "tool", "stop", "refusal"]


@dataclass(frozen=True, kw_only=True)
class Tool:
    name: str
    description: str
    schema: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Called:
    """A call that the model wants made."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Said:
    """An answer. `prompt_tokens` counts everything that went in; `native` is what the SDK sends back in the next turn."""

    text: str
    reason: Reason
    calls: tuple[Called, ...] = ()
    thought: str = ""
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    native: Any = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class User:
    text: str
    image_png: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """Of one call."""

    call: Called
    text: str
    is_error: bool = False
    image_png: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Results:
    """Of all calls of the turn before."""

    of: tuple[Result, ...]


Turn = User | Said | Results


@dataclass(frozen=True, kw_only=True)
class Ask:
    turns: tuple[Turn, ...]
    system: str | None = None
    tools: tuple[Tool, ...] = ()
    force: str | None = None
    """The tool that must be called."""
    thinking: bool = False
    schema: dict[str, Any] | None = None
    stop: tuple[str, ...] = ()
    limit: int = 2000


class Failed(Exception):
    """The SDK raised an error: its status (0 within a stream), its message, and the text that had come by then."""

    def __init__(self, status: int, message: str, said: str = "") -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message
        self.said = said


class Sdk(Protocol):
    """One vendor's library, pointed at the edge. Raises Failed."""

    name: str
    lacks: frozenset[str]
    """Cases that its API has no words for."""

    def ask(self, model: str, ask: Ask, *, stream: bool) -> Said: ...

    def close(self) -> None: ...
