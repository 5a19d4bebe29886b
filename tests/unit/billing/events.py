"""Usage events for the unit tests."""

from tt_common.contracts.events import UsageEvent
from tt_common.ids import new_event_id
from tt_common.rating import Usage


def usage_event(cost_nanousd: int, grant_id: str = "", **fields: object) -> UsageEvent:
    """A plain successful call of `key_1` on `acc_1`."""
    values: dict[str, object] = {
        "id": new_event_id(),
        "account_id": "acc_1",
        "key_id": "key_1",
        "edge_id": "e",
        "boot_epoch": "b",
        "edge_seq": 1,
        "grant_id": grant_id,
        "hold_id": "h",
        "hold_nanousd": cost_nanousd,
        "outcome": "succeeded",
        "status": 200,
        "endpoint": "/v1/chat/completions",
        "protocol": "openai",
        "model": "m",
        "provider": "p",
        "upstream_model": "m",
        "stream": False,
        "usage": Usage(),
        "usage_source": "provider",
        "price_version": "m@1",
        "cost_nanousd": cost_nanousd,
        "started_at_ms": 1,
        "finished_at_ms": 2,
    }
    return UsageEvent(**{**values, **fields})  # pyright: ignore[reportArgumentType]
