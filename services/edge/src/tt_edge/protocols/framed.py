"""A dialect's stream of server-sent events, as events of the canonical form: what all such readers have in common."""

from abc import ABC, abstractmethod

from tt_edge.protocols.canonical.answer import Event
from tt_edge.protocols.sse import FrameSplitter, payload_of


class FramedReader(ABC):
    """See `StreamReader`. A dialect reads the data of one event in `_read`, and in `_ended_with` says how a closed stream ended."""

    __slots__ = ("_splitter",)

    def __init__(self) -> None:
        self._splitter = FrameSplitter()

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for frame in self._splitter.feed(data):
            self._read(payload_of(frame), events)
        return events

    def end(self) -> list[Event]:
        events: list[Event] = []
        if rest := self._splitter.rest():
            self._read(payload_of(rest + b"\n\n"), events)
        self._ended_with(events)
        return events

    @abstractmethod
    def _read(self, payload: bytes, events: list[Event]) -> None:
        """The data of one event, empty where it has none; what it says is appended."""

    @abstractmethod
    def _ended_with(self, events: list[Event]) -> None:
        """What follows from the end of the bytes alone: nothing, unless the dialect has no terminal marker."""
