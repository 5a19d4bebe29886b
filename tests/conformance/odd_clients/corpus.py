"""The corpus of odd requests: one JSON file a case, read strictly, so that a misspelt field is an error and not a check less.

A case is data only. How it is sent and judged is in test_odd_clients.py; what its fields mean is in README.md.
"""

import base64
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

FOLDER: Final = Path(__file__).parent / "cases"
Protocol = Literal["openai", "responses", "anthropic", "gemini"]


class Expected(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """What must hold. Names with a slash are JSON pointers."""

    status: int
    param: str | None = None
    code: str | None = None
    message_has: list[str] = []
    stream: bool = False
    answer: dict[str, Any] = {}
    answer_matches: dict[str, str] = {}
    untouched: bool = False
    provider_gets: dict[str, Any] = {}
    provider_matches: dict[str, str] = {}
    provider_same: list[tuple[str, str]] = []
    provider_lacks: list[str] = []
    provider_has: list[str] = []
    provider_has_not: list[str] = []


class Case(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """One request of one client, and what is right for it."""

    title: str
    client: str
    source: str
    protocol: Protocol
    method: Literal["GET", "POST"]
    path: str
    headers: dict[str, str]
    expect: Expected
    why: str
    provider: Protocol | None = None
    body: msgspec.Raw = msgspec.Raw()
    body_base64: str = ""

    @property
    def dialect(self) -> Protocol:
        """What the provider behind the model speaks: the client's own protocol unless the case says otherwise."""
        return self.provider or self.protocol

    @property
    def provider_calls(self) -> int:
        """How many calls reach the provider: none for what is refused, for lists, and for counting by a model of another dialect."""
        counts = "/count_tokens" in self.path or ":countTokens" in self.path
        asked = self.dialect == self.protocol or not counts
        return int(self.expect.status == 200 and self.method == "POST" and asked)

    def content(self, words: dict[str, str]) -> bytes:
        """The body as bytes, with `$model` and `$key` put in."""
        content = base64.b64decode(self.body_base64) or bytes(self.body)
        for name, word in words.items():
            content = content.replace(f"${name}".encode(), word.encode())
        return content


def filled(text: str, words: dict[str, str]) -> str:
    """The same for a path or a header."""
    for name, word in words.items():
        text = text.replace(f"${name}", word)
    return text


def load() -> dict[str, Case]:
    """All cases by file name without its ending, sorted."""
    return {path.stem: msgspec.json.decode(path.read_bytes(), type=Case) for path in sorted(FOLDER.glob("*.json"))}
