"""Ids of events that charge nothing, where the call's own id must stay free for a later charge.

An Idempotency-Key's event id may be charged once, by whichever edge completes the call. An event of the same call that
charges nothing must not use it up: billing would take the charge for a repetition.
"""

from tt_common.ids import derived_event_id


def unresolved_id(call_id: str) -> str:
    """Of the event that says that nobody settled the call."""
    return derived_event_id(call_id, "unresolved")


def uncharged_id(call_id: str) -> str:
    """Of the event of an idempotent call that ended without a charge."""
    return derived_event_id(call_id, "uncharged")
