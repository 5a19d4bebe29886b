"""From one client protocol to another dialect and back, through the canonical form: any client side with any provider side.

Never guesses: what a stream leaves out (its end, its usage) is left out.
"""

from typing import Final, Protocol

import msgspec

from tt_common.errors import DomainError
from tt_common.rating import Usage
from tt_edge.clients.answers import UpstreamRequest
from tt_edge.domain.refusals import invalid_request, upstream_error
from tt_edge.domain.tokens import CHARS_PER_TOKEN, count_tokens
from tt_edge.protocols.bodies import TOO_DEEP
from tt_edge.protocols.canonical.answer import (
    ChatAnswer,
    Choice,
    Ended,
    Ending,
    Event,
    Failed,
    Finished,
    Metered,
    PromptMetered,
    RefusalDelta,
    TextDelta,
    ThinkingDelta,
    ToolDelta,
    ToolStarted,
)
from tt_edge.protocols.canonical.request import ChatRequest, Inexpressible, Text, Thinking, ToolUse
from tt_edge.protocols.port import Attempted, ClientProtocol, Request, Tap


class Refused(Exception):
    """The answer is an error in the shape of an answer, such as a malformed call of a function. `message` is the vendor's."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class StreamReader(Protocol):
    """A dialect's stream: the provider's bytes in, events out. Any split of the bytes gives the same events, but that of figures which
    came at once (Metered) the last may be all that is told. Raises FrameTooLarge.
    """

    def feed(self, data: bytes) -> list[Event]: ...

    def end(self) -> list[Event]:
        """The provider closed the stream. `Finished` only where the dialect's end had been seen."""
        ...


class ProviderSide(Protocol):
    """A dialect, as translations need it."""

    def outgoing(self, asked: ChatRequest, attempted: Attempted) -> UpstreamRequest:
        """Raises Inexpressible."""
        ...

    def answer(self, body: bytes, asked: ChatRequest) -> ChatAnswer | None:
        """None where the body is no answer. Raises Refused."""
        ...

    def reader(self, asked: ChatRequest) -> StreamReader: ...

    def refusal_message(self, status: int, body: bytes) -> str:
        """What the provider's own refusal says to people."""
        ...


class StreamWriter(Protocol):
    """A client protocol's stream. `write` is given every event but Ended, Metered, PromptMetered, Failed and Finished."""

    def write(self, event: Event) -> bytes: ...

    def finish(self, endings: dict[int, Ending], usage: Usage | None, service_tier: str, cost_usd: str) -> bytes:
        """The end of a whole stream: what is still open closed, why it ended (by choice), usage and cost, the terminal marker."""
        ...


class ClientSide(Protocol):
    """A client protocol, as translations need it. `FIELDS` names its own field for each canonical one."""

    def canonical(self, request: Request) -> ChatRequest:
        """Raises invalid_request naming the field that has no canonical form or a wrong value."""
        ...

    def whole(self, answer: ChatAnswer, request: Request, model: str, call_id: str, cost_usd: str) -> bytes: ...

    def writer(self, request: Request, call_id: str) -> StreamWriter: ...

    def field(self, canonical: str) -> str:
        """The client's name of a canonical field."""
        ...


class Translated:
    """A `Bridge` between two that speak differently."""

    __slots__ = ("_asked", "_call_id", "_client", "_protocol", "_provider", "_request")

    def __init__(
        self, protocol: ClientProtocol, client: ClientSide, provider: ProviderSide, request: Request, call_id: str
    ) -> None:
        """Raises invalid_request."""
        self._protocol = protocol
        self._client = client
        self._provider = provider
        self._request = request
        self._call_id = call_id
        try:
            self._asked = client.canonical(request)
        except RecursionError:
            raise invalid_request(TOO_DEEP) from None

    def outgoing(self, attempted: Attempted) -> UpstreamRequest:
        try:
            return self._provider.outgoing(self._asked, attempted)
        except Inexpressible as missing:
            name = self._client.field(missing.field)
            raise invalid_request(f"'{name}' can't be used with this model: {missing.message}", name) from None
        except RecursionError:
            raise invalid_request(TOO_DEEP) from None

    def answer(self, body: bytes) -> "TranslatedAnswer | None":
        try:
            answer = self._provider.answer(body, self._asked)
        except Refused as refused:
            raise upstream_error(refused.message) from None
        if answer is None:
            return None
        if self._asked.parallel_tools is False:
            answer = _with_one_call(answer)
        return TranslatedAnswer(self._client, self._request, answer, self._call_id)

    def tap(self) -> Tap:
        writer = self._client.writer(self._request, self._call_id)
        one_call = self._asked.parallel_tools is False
        return TranslatedTap(self._provider.reader(self._asked), writer, self._protocol, self._call_id, one_call)

    def refusal(self, status: int, body: bytes) -> bytes:
        error = DomainError(REFUSALS.get(status, "invalid_request"), self._provider.refusal_message(status, body))
        return self._protocol.error_body(error, self._call_id)


REFUSALS: Final = {404: "model_not_found", 413: "request_too_large"}


def _with_one_call(answer: ChatAnswer) -> ChatAnswer:
    """Parallel calls were not wanted; a dialect without a word for that may have made some: the first one stands."""
    choices: list[Choice] = []
    for choice in answer.choices:
        further = [block for block in choice.blocks if isinstance(block, ToolUse)][1:]
        kept = tuple(block for block in choice.blocks if not any(block is call for call in further))
        choices.append(msgspec.structs.replace(choice, blocks=kept))
    return msgspec.structs.replace(answer, choices=tuple(choices))


class TranslatedAnswer:
    """See `WholeAnswer`."""

    __slots__ = ("_answer", "_call_id", "_client", "_request", "service_tier", "usage")

    def __init__(self, client: ClientSide, request: Request, answer: ChatAnswer, call_id: str) -> None:
        self._client = client
        self._request = request
        self._answer = answer
        self._call_id = call_id
        self.usage: Usage | None = answer.usage
        self.service_tier = answer.service_tier

    def texts(self) -> list[str]:
        texts: list[str] = []
        for choice in self._answer.choices:
            texts.append(choice.refusal)
            for block in choice.blocks:
                texts.append(block.text if isinstance(block, (Text, Thinking)) else block.name + block.arguments)
        return [text for text in texts if text]

    def rendered(self, model: str, cost_usd: str) -> bytes:
        return self._client.whole(self._answer, self._request, model, self._call_id, cost_usd)


class TranslatedTap:
    """See `Tap`. `one_call`: parallel calls were not wanted, so further ones of a choice are left out."""

    __slots__ = (
        "_call_id",
        "_endings",
        "_one_call",
        "_protocol",
        "_reader",
        "_writer",
        "complete",
        "failed",
        "output_estimate",
        "prompt",
        "service_tier",
        "texts",
        "usage",
    )

    def __init__(
        self, reader: StreamReader, writer: StreamWriter, protocol: ClientProtocol, call_id: str, one_call: bool
    ) -> None:
        self._one_call = one_call
        self._reader = reader
        self._writer = writer
        self._protocol = protocol
        self._call_id = call_id
        self._endings: dict[int, Ending] = {}
        self.service_tier = ""
        self.usage: Usage | None = None
        self.prompt: Usage | None = None
        self.texts: list[str] = []
        self.output_estimate = 0
        self.complete = False
        self.failed = False

    def feed(self, data: bytes) -> bytes:
        return self._written(self._reader.feed(data))

    def end(self) -> bytes:
        return self._written(self._reader.end())

    def tail(self, cost_usd: str) -> bytes:
        return self._writer.finish(self._endings, self.usage, self.service_tier, cost_usd) if self.complete else b""

    def broken(self, error_event: bytes) -> bytes:
        return error_event

    def recount(self) -> int:
        self.output_estimate = count_tokens(["".join(self.texts)])
        return self.output_estimate

    def _written(self, events: list[Event]) -> bytes:
        if len(events) == 1:
            return self._event(events[0])
        return b"".join([self._event(event) for event in events])

    def _event(self, event: Event) -> bytes:
        if self.complete or self.failed:
            return b""
        if self._one_call and isinstance(event, (ToolStarted, ToolDelta)) and event.index:
            return b""
        if isinstance(event, (TextDelta, ThinkingDelta, RefusalDelta)):
            self._count(event.text)
        elif isinstance(event, ToolDelta):
            self._count(event.arguments)
        elif isinstance(event, ToolStarted):
            self._count(event.name)
        elif isinstance(event, Ended):
            self._endings[event.choice] = event.ending
            return b""
        elif isinstance(event, Metered):
            self.usage, self.service_tier = event.usage, event.service_tier or self.service_tier
            return b""
        elif isinstance(event, PromptMetered):
            self.prompt = event.usage
            return b""
        elif isinstance(event, Failed):
            self.failed = True
            code = "all_providers_unavailable" if event.overloaded else "upstream_error"
            return self._protocol.error_event(DomainError(code, event.message), self._call_id)
        elif isinstance(event, Finished):
            self.complete = True
            return b""
        return self._writer.write(event)

    def _count(self, text: str) -> None:
        self.texts.append(text)
        self.output_estimate += 1 if len(text) <= CHARS_PER_TOKEN else -(-len(text) // CHARS_PER_TOKEN)
