"""How far this process has committed a stream: what a database that was restored under it no longer knows."""

from collections.abc import Iterable


class Progress:
    """The stream's incarnation and the highest sequence that was committed of it."""

    def __init__(self) -> None:
        self._created, self._sequence = "", 0

    def of(self, created: str) -> int:
        """0 for another incarnation of the stream."""
        return self._sequence if self._created == created else 0

    def committed(self, created: str, sequences: Iterable[int]) -> None:
        self._created, self._sequence = created, max(self.of(created), *sequences)
