"""How fast a key spends and calls here, smoothed over about ten seconds: it sizes the wish for more credit. Times handed in."""

from typing import Final

from tt_common.contracts.grants import Slices

HORIZON_S: Final = 10.0
SAMPLE_S: Final = 1.0


class _Rate:
    """Of one quantity, a second."""

    __slots__ = ("per_s", "sum")

    def __init__(self) -> None:
        self.per_s = 0.0
        self.sum = 0

    def sample(self, elapsed_s: float) -> None:
        self.per_s += (self.sum / elapsed_s - self.per_s) * min(elapsed_s / HORIZON_S, 1.0)
        self.sum = 0

    def expected(self, elapsed_s: float) -> int:
        """What the next HORIZON_S will bring."""
        return int(max(self.per_s, self.sum / max(elapsed_s, SAMPLE_S)) * HORIZON_S)


class Demand:
    """Reservations: their money in nanoUSD, their number, their tokens."""

    __slots__ = ("_calls", "_money", "_since", "_tokens")

    def __init__(self, now: float) -> None:
        self._money, self._calls, self._tokens = _Rate(), _Rate(), _Rate()
        self._since = now

    def note(self, nanousd: int, tokens: int, now: float) -> None:
        """One call asked for that much."""
        self._money.sum += nanousd
        self._calls.sum += 1
        self._tokens.sum += tokens
        elapsed = now - self._since
        if elapsed >= SAMPLE_S:
            for rate in (self._money, self._calls, self._tokens):
                rate.sample(elapsed)
            self._since = now

    def want_nanousd(self, now: float) -> int:
        """What is expected to be asked for in ten seconds."""
        return self._money.expected(now - self._since)

    def want_slices(self, now: float) -> Slices:
        """The same, of the key's requests and tokens per minute."""
        elapsed = now - self._since
        return Slices(requests=self._calls.expected(elapsed), tokens=self._tokens.expected(elapsed))

    def idle_s(self, now: float) -> float:
        """Seconds since the last sample began."""
        return now - self._since
