"""The order in which a model's routes are tried: by priority, weighted random within one, cooling ones left out."""

import random

from tt_common.clock import monotonic_s
from tt_common.contracts.records import ModelRecord, ProviderRecord, Route
from tt_edge.routing.breaker import Breaker

ROUTES_TRIED_MAX = 8


class RouteBook:
    """Breakers of all routes that were ever used, and the choice among a model's routes."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._breakers: dict[tuple[str, str], Breaker] = {}
        self._rng = rng or random.Random()

    def breaker(self, route: Route) -> Breaker:
        key = (route.provider, route.upstream_model)
        breaker = self._breakers.get(key)
        if breaker is None:
            breaker = self._breakers[key] = Breaker()
        return breaker

    def cooling(self) -> dict[tuple[str, str], bool]:
        """Every route that was ever used, as (provider, upstream model), and whether it is left alone now."""
        now = monotonic_s()
        return {route: not breaker.allows(now) for route, breaker in self._breakers.items()}

    def plan(self, model: ModelRecord, providers: dict[str, ProviderRecord]) -> list[Route]:
        """Routes to try, best first; empty where none is usable now."""
        now = monotonic_s()
        usable = [
            route
            for route in model.routes
            if (provider := providers.get(route.provider)) is not None
            and provider.status == "active"
            and self.breaker(route).allows(now)
        ]
        if len(usable) > 1:
            usable.sort(key=lambda route: (route.priority, self._rng.random() ** (1.0 / max(route.weight, 1)) * -1))
        return usable[:ROUTES_TRIED_MAX]

    def retry_after_s(self, model: ModelRecord) -> float:
        """When the first cooling route may be tried again; 1 s where none cools."""
        now = monotonic_s()
        waits = [wait for route in model.routes if (wait := self.breaker(route).retry_after_s(now)) > 0]
        return max(1.0, min(waits)) if waits else 1.0
