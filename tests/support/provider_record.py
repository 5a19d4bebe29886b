"""The sandbox provider's own door: what it served (the oracle of what may be charged), and faults by upstream model."""

from typing import Any

import httpx


class ProviderRecord:
    """Reads and steers one sandbox provider."""

    def __init__(self, sandbox_url: str) -> None:
        self._http = httpx.Client(base_url=sandbox_url, timeout=10.0, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def calls(self, *, label: str | None = None, model: str | None = None) -> list[dict[str, Any]]:
        """Calls that reached the provider, oldest first; running ones have no `ended_at`."""
        answer = self._http.get("/sandbox/calls")
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["calls"]
        return [
            call
            for call in found
            if (label is None or call["label"] == label) and (model is None or call["model"] == model)
        ]

    def set_fault(self, upstream_model: str, **switches: Any) -> None:
        """Every call of that upstream model behaves like this, until a switch is set to None again."""
        self._http.post("/sandbox/faults", json={"model": upstream_model, **switches}).raise_for_status()
