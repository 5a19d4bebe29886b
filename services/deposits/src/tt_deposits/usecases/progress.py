"""How fast the cursor moves, as this process saw it lately: what an ETA is made of."""

from collections import deque
from collections.abc import Callable
from typing import Final

from tt_common.clock import monotonic_s

WINDOW_S: Final = 60.0


class Progress:
    """The cursor's way of the last minute, as this process saw it."""

    def __init__(self, clock_s: Callable[[], float] = monotonic_s) -> None:
        self._clock_s = clock_s
        self._seen: deque[tuple[float, int, int]] = deque()

    def note(self, cursor_height: int, solid_height: int) -> None:
        """Call every few seconds."""
        now_s = self._clock_s()
        self._seen.append((now_s, cursor_height, solid_height))
        while self._seen[0][0] < now_s - WINDOW_S:
            self._seen.popleft()

    def blocks_per_s(self) -> float:
        """Of the cursor; 0 before two notes."""
        return self._rate(1)

    def eta_s(self, behind: int) -> float | None:
        """Until `behind` is 0 at the present pace; None where it isn't getting less."""
        if behind <= 0:
            return 0.0
        gain = self._rate(1) - self._rate(2)
        return behind / gain if gain > 0 else None

    def _rate(self, field: int) -> float:
        if len(self._seen) < 2 or (seconds := self._seen[-1][0] - self._seen[0][0]) <= 0:
            return 0.0
        return (self._seen[-1][field] - self._seen[0][field]) / seconds
