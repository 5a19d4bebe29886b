"""CloudEvents 1.0 in binary mode on NATS: attributes as `ce-*` headers in exact lower case, the data as JSON payload.

`ce-id` is the event's id and `Nats-Msg-Id`, but for events that are said again on purpose; the broker's dedupe window only saves
bandwidth, consumers dedupe by (source, id).
"""

from typing import Any

from tt_common.clock import rfc3339
from tt_common.contracts.events import EDGE_SOURCE, USAGE_V1, UsageEvent

CONTENT_TYPE = "application/json"
MESSAGE_ID = "Nats-Msg-Id"


def event_headers(
    event_id: str, event_type: str, source: str, subject: str, time_ms: int, traceparent: str = ""
) -> dict[str, Any]:
    """Headers of one event. `event_type` is the literal wire name, such as `billing.wallet_low.v1`."""
    headers = {
        "ce-specversion": "1.0",
        "ce-id": event_id,
        "ce-source": source,
        "ce-type": event_type,
        "ce-time": rfc3339(time_ms),
        "ce-subject": subject,
        "content-type": CONTENT_TYPE,
        MESSAGE_ID: event_id,
    }
    if traceparent:
        headers["traceparent"] = traceparent
    return headers


def usage_headers(event: UsageEvent) -> dict[str, Any]:
    """Headers of a call's usage event."""
    return event_headers(event.id, USAGE_V1, EDGE_SOURCE, event.account_id, event.finished_at_ms, event.traceparent)
