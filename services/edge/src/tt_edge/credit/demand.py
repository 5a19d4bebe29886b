"""How fast a key spends here, smoothed over about ten seconds: it sizes the wish for more credit. Times handed in."""

from typing import Final

HORIZON_S: Final = 10.0
SAMPLE_S: Final = 1.0


class Demand:
    """Reservations per second, in nanoUSD."""

    __slots__ = ("_per_s", "_since", "_sum")

    def __init__(self, now: float) -> None:
        self._per_s = 0.0
        self._since = now
        self._sum = 0

    def note(self, nanousd: int, now: float) -> None:
        """One call asked for that much."""
        self._sum += nanousd
        elapsed = now - self._since
        if elapsed >= SAMPLE_S:
            share = min(elapsed / HORIZON_S, 1.0)
            self._per_s += (self._sum / elapsed - self._per_s) * share
            self._since, self._sum = now, 0

    def want_nanousd(self, now: float) -> int:
        """What is expected to be asked for in ten seconds."""
        recent = self._sum / max(now - self._since, SAMPLE_S)
        return int(max(self._per_s, recent) * HORIZON_S)

    def idle_s(self, now: float) -> float:
        """Seconds since the last sample began."""
        return now - self._since
