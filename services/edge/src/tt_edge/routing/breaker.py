"""Circuit breaker of one route (provider, upstream model): closed, open for a while, then one probe at a time.

Times are seconds of a clock that doesn't jump, handed in. Never decides alone that a call fails: it only orders and delays routes.
"""

from typing import Final

FAILURES_TO_OPEN: Final = 5
COOLDOWN_S: Final = 5.0
COOLDOWN_S_MAX: Final = 60.0
PROBE_LEASE_S: Final = 30.0


class Breaker:
    """Counts consecutive failures; at five the route cools down for 5 s, twice as long each time a probe fails."""

    __slots__ = ("_cooldown_s", "_failures", "_open_until", "_probe_until")

    def __init__(self) -> None:
        self._failures = 0
        self._cooldown_s = COOLDOWN_S
        self._open_until = 0.0
        self._probe_until = 0.0

    def allows(self, now: float) -> bool:
        """Whether a call may be sent: closed, or cooled down with no probe under way."""
        if self._failures < FAILURES_TO_OPEN:
            return True
        return now >= self._open_until and now >= self._probe_until

    def begin(self, now: float) -> None:
        """A call is being sent; on a cooled-down route it is the probe."""
        if self._failures >= FAILURES_TO_OPEN:
            self._probe_until = now + PROBE_LEASE_S

    def succeeded(self) -> None:
        """The provider answered (also with a 4xx that is the caller's fault)."""
        self._failures = 0
        self._cooldown_s = COOLDOWN_S
        self._probe_until = 0.0

    def failed(self, now: float) -> None:
        """Connection failure, time-out, 401, 402, 403, 429 or 5xx."""
        if self._failures >= FAILURES_TO_OPEN and now < self._open_until:
            return  # begun before the route was opened, so it is not a probe
        self._failures += 1
        self._probe_until = 0.0
        if self._failures == FAILURES_TO_OPEN:
            self._open_until = now + self._cooldown_s
        elif self._failures > FAILURES_TO_OPEN:
            self._cooldown_s = min(self._cooldown_s * 2, COOLDOWN_S_MAX)
            self._open_until = now + self._cooldown_s

    def abandoned(self) -> None:
        """The call ended without a verdict on the provider (the client left): the probe is free again."""
        self._probe_until = 0.0

    def retry_after_s(self, now: float) -> float:
        """Seconds until the route may be probed; 0 when it may be used now."""
        return max(0.0, max(self._open_until, self._probe_until) - now) if self._failures >= FAILURES_TO_OPEN else 0.0
