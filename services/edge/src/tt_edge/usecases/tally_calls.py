"""What the calls of this worker came to, as plain numbers that Prometheus asks for.

Invariant: labels come from the catalog and from the code's own words, so their number is bounded. Never counts by key or account.
"""

from collections import Counter
from typing import Final

from tt_common.contracts.events import UsageEvent
from tt_common.rating import Usage
from tt_common.telemetry.tallies import Distribution

OVERHEAD_BOUNDS_S: Final = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
FIRST_BYTE_BOUNDS_S: Final = (0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 120.0)
DURATION_BOUNDS_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0)

QUANTITIES: Final = Usage.__struct_fields__

CallLabels = tuple[str, str, str, str]


class _Kind:
    """Calls of one model, provider, endpoint and outcome: found by one look-up a call."""

    __slots__ = ("calls", "duration")

    def __init__(self) -> None:
        self.calls = 0
        self.duration = Distribution(DURATION_BOUNDS_S)


class _Model:
    """What the calls of one model used and cost."""

    __slots__ = ("cost_nanousd", "estimated", "first_byte", "used")

    def __init__(self) -> None:
        self.cost_nanousd = 0
        self.estimated = 0
        self.first_byte = Distribution(FIRST_BYTE_BOUNDS_S)
        self.used: Counter[str] = Counter()


class CallTallies:
    """`settled` for every usage event, `rejected` for every call that became none."""

    def __init__(self) -> None:
        self.kinds: dict[CallLabels, _Kind] = {}
        self.models: dict[str, _Model] = {}
        self.overhead = Distribution(OVERHEAD_BOUNDS_S)
        self.rejections: Counter[str] = Counter()
        self.failed_attempts: Counter[tuple[str, str]] = Counter()

    def settled(self, event: UsageEvent) -> None:
        """Count one call that was admitted, whatever became of it."""
        labels = (event.model, event.provider, event.endpoint, event.outcome)
        kind = self.kinds.get(labels)
        if kind is None:
            kind = self.kinds[labels] = _Kind()
        kind.calls += 1
        kind.duration.observe((event.finished_at_ms - event.started_at_ms) / 1000)
        self.overhead.observe(event.overhead_ms / 1000)
        model = self.models.get(event.model)
        if model is None:
            model = self.models[event.model] = _Model()
        model.cost_nanousd += event.cost_nanousd
        if event.first_byte_ms:
            model.first_byte.observe(event.first_byte_ms / 1000)
        if event.usage_source != "none":
            self._used(model, event)
        for attempt in event.attempts:
            self.failed_attempts[attempt.provider, attempt.error] += 1

    def _used(self, model: _Model, event: UsageEvent) -> None:
        usage, used = event.usage, model.used
        for quantity in QUANTITIES:
            count = getattr(usage, quantity)
            if count:
                used[quantity] += count
        model.estimated += event.usage_source == "estimated"

    def rejected(self, code: str) -> None:
        """Count one call that was refused before a provider was asked."""
        self.rejections[code] += 1
