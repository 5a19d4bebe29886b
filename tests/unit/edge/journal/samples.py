"""Sample calls and events for the journal's tests."""

import msgspec

from tt_common.contracts.events import UsageEvent
from tt_common.rating import Usage
from tt_edge.journal.journal import Journal, Uncovered
from tt_edge.journal.segment import Started


def call(name: str, traceparent: str = "") -> Started:
    return Started(
        id=name,
        account_id="acc_1",
        key_id="key_1",
        grant_id="grant_1",
        hold_id=f"hold_{name}",
        hold_nanousd=5_000,
        model="gpt-4o-mini",
        endpoint="/v1/chat/completions",
        protocol="openai",
        stream=True,
        started_at_ms=1_700_000_000_000,
        traceparent=traceparent,
    )


def settle(
    journal: Journal, name: str, cost_nanousd: int = 1_000, padding: str = "", call_id: str | None = None
) -> Uncovered:
    """Settle a call as the edge does: number, encode, record."""
    event = UsageEvent(
        id=name,
        account_id="acc_1",
        key_id="key_1",
        edge_id=journal.edge_id,
        boot_epoch=journal.boot_epoch,
        edge_seq=journal.next_seq(),
        grant_id="grant_1",
        hold_id=f"hold_{name}",
        hold_nanousd=5_000,
        outcome="succeeded",
        status=200,
        endpoint="/v1/chat/completions",
        protocol="openai",
        model="gpt-4o-mini",
        provider="sandbox",
        upstream_model="gpt-4o-mini",
        stream=True,
        usage=Usage(input_tokens=10, output_tokens=20),
        usage_source="provider",
        price_version="price_1",
        cost_nanousd=cost_nanousd,
        started_at_ms=1_700_000_000_000,
        finished_at_ms=1_700_000_001_000,
        error_code=padding,
    )
    return journal.settled(event, msgspec.json.encode(event), call_id)
