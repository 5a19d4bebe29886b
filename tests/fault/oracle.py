"""The oracle: what the provider says it served, against what was billed.

Costs are computed again here, slowly, from the provider's counts; nothing of the product's rating is used. Call after all
processes are back.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any, Final

import msgspec

from tests.fault.driver import Record, Sent
from tests.fault.world import PRICES, World
from tt_billing.main.commands import opened
from tt_billing.main.service import make_context
from tt_billing.settings import Settings
from tt_billing.usecases.reconcile import Report, reconcile
from tt_common.contracts.events import UsageEvent
from tt_common.ids import derived_event_id
from tt_sandbox.stack.stack import Stack

SETTLE_S: Final = 45.0
POLL_S: Final = 0.25
# How an event with one token of a stream looks; the event that opens a choice has its role first.
TOKEN_EVENT: Final = b'"delta":{"content":"'


def assert_consistent(record: Record, *, commands: bool = False, overdraws: bool = False) -> dict[str, UsageEvent]:
    """Wait until everything is settled, then hold the bill against the provider's record. Returns the events by id.

    `commands` runs `replay` and `reconcile` as well. `overdraws`: grants ended while edges spent them, so a wallet may be
    below zero.
    """
    world = record.world
    wait_settled(record)
    calls = world.provider_calls(record.since)
    events = _events(record)
    _assert_every_served_call_has_one_event(calls, events, record)
    _assert_events_are_true(calls, events, record)
    _assert_complete_answers_are_billed(record, calls, events)
    _assert_ledger_agrees(record, events)
    _assert_console_agrees(record, events)
    assert world.billing_rows("SELECT id, reason FROM quarantine") == []
    if not overdraws:
        assert world.billing_rows("SELECT account_id, available_nanousd FROM wallets WHERE available_nanousd < 0") == []
    if commands:
        _assert_commands_find_no_difference(world)
    return events


def wait_settled(record: Record) -> None:
    """Until every served call has its event, every epoch is settled, nothing is held and the console has caught up."""
    deadline = time.monotonic() + SETTLE_S
    while unsettled := _unsettled(record):
        assert time.monotonic() < deadline, f"not settled after {SETTLE_S:.0f} s: {unsettled}"
        time.sleep(POLL_S)


def assert_reconciled(stack: Stack) -> None:
    """Billing's own checks, the replay of its ledger among them, as its command runs them, without a process's start."""
    settings = Settings(database_url=stack.database_url("billing"), nats_url=None)

    async def report() -> Report:
        async with opened(settings) as engine:
            return await reconcile(make_context(settings, engine), None, whole=True)

    differences = asyncio.run(report()).differences
    assert not differences, differences


def _assert_commands_find_no_difference(world: World) -> None:
    with ThreadPoolExecutor() as both:
        for done in both.map(lambda command: world.stack.command("billing", command), ("replay", "reconcile")):
            assert done.returncode == 0, f"{done.args}:\n{done.stdout}{done.stderr}"


def expected_cost_nanousd(model: str, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> int:
    """Usage times price, rounded half up once."""
    prices = PRICES[model]
    fresh = prompt_tokens - cached_tokens
    exact = Fraction(
        fresh * prices.input + cached_tokens * prices.cache_read + completion_tokens * prices.output, 1_000_000
    )
    return int(exact + Fraction(1, 2))


def _accounts(record: Record) -> list[str]:
    return sorted({sent.key.account_id for sent in record.sent})


def _events(record: Record) -> dict[str, UsageEvent]:
    query = "SELECT id::text, event FROM usage_events WHERE account_id = ANY(%s) ORDER BY position"
    rows = record.world.billing_rows(query, _accounts(record))
    events = {row["id"]: msgspec.json.decode(row["event"], type=UsageEvent) for row in rows}
    assert len(events) == len(rows)
    return events


def _unresolved_id(request_id: str) -> str:
    return derived_event_id(request_id, "unresolved")


def _unsettled(record: Record) -> str:
    """What is still missing, or nothing."""
    world = record.world
    calls = world.provider_calls(record.since)
    if running := [call["label"] for call in calls if call["ended_at"] is None]:
        return f"{len(running)} calls still run at the provider, such as {running[0]}"
    query = "SELECT id::text FROM usage_events WHERE account_id = ANY(%s)"
    known = {row["id"] for row in world.billing_rows(query, _accounts(record))}
    served = {call["request_id"] for call in calls}
    if missing := [name for name in served if name not in known and _unresolved_id(name) not in known]:
        return f"{len(missing)} of {len(served)} served calls have no event, such as {missing[0]}"
    behind = world.billing_rows("SELECT edge_id, watermark, last_seq FROM edge_epochs WHERE watermark < last_seq")
    if behind:
        return f"epochs behind: {behind}"
    if alive := world.billing_rows("SELECT grant_id, edge_id, state, held_nanousd FROM grants WHERE state <> 'ended'"):
        return f"{len(alive)} grants are alive, such as {alive[0]}"
    if held := world.billing_rows("SELECT account_id, held_nanousd FROM wallets WHERE held_nanousd <> 0"):
        return f"held: {held}"
    (billed,) = world.billing_rows("SELECT count(*) AS n FROM usage_events")
    (shown,) = world.console_rows("SELECT count(*) AS n FROM usage")
    return "" if billed == shown else f"the console has {shown['n']} of {billed['n']} events"


def _assert_every_served_call_has_one_event(
    calls: list[dict[str, Any]], events: dict[str, UsageEvent], record: Record
) -> None:
    """An idempotent call that an edge left unresolved may have been charged by another edge, once, under the call's id."""
    taken_over = {sent.label for sent in record.sent if sent.idempotent}
    for call in {call["request_id"]: call for call in calls}.values():
        request_id = call["request_id"]
        names = (request_id, _unresolved_id(request_id), derived_event_id(request_id, "uncharged"))
        found = [name for name in names if name in events]
        assert len(found) == 1 or (found and call["label"] in taken_over), f"{request_id} has the events {found}"


def _assert_events_are_true(calls: list[dict[str, Any]], events: dict[str, UsageEvent], record: Record) -> None:
    """No charge without a call; provider figures are the provider's; abandoned attempts are listed."""
    tries: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for call in calls:
        tries[call["request_id"]].append(call)
    by_label = {sent.label: sent for sent in record.sent}
    by_id = {sent.request_id: sent for sent in record.sent}
    for event in events.values():
        served = [call for call in tries.get(event.id, []) if call["status"] == 200]
        if event.outcome == "unresolved":
            assert event.cost_nanousd == 0
            continue
        failed = [call for call in tries.get(event.id, []) if call["status"] >= 500]
        listed = [attempt for attempt in event.attempts if attempt.error == "status"]
        assert len(listed) == len(failed), f"{event.id} lists {listed}, the provider failed {len(failed)} times"
        if sent := by_id.get(event.id):
            received = sent.body.count(TOKEN_EVENT)
            assert event.usage.output_tokens >= received, f"{sent.label} got {received} tokens: {event}"
        if event.cost_nanousd == 0:
            continue
        idempotent = event.id in by_id and by_id[event.id].idempotent
        assert len(served) == 1 or (served and idempotent), f"{event.id} is charged, the provider served {served}"
        call = served[-1]
        if event.usage_source == "provider":
            cached = by_label[call["label"]].cached_tokens
            tokens = call["prompt_tokens"], call["completion_tokens"], cached
            assert event.cost_nanousd == expected_cost_nanousd(event.model, *tokens), (event, call)
        else:
            assert event.usage_source == "estimated"
            assert event.cost_nanousd <= event.hold_nanousd, (event, call)
            # The edge's tokenizer takes the sandbox's words as one token each, and a blank at the end as one more.
            assert event.usage.output_tokens <= call["completion_tokens"] + 1, (event, call)
            cost = expected_cost_nanousd(event.model, event.usage.prompt_tokens, event.usage.output_tokens)
            assert event.cost_nanousd == min(cost, event.hold_nanousd), (event, call)


def _assert_complete_answers_are_billed(
    record: Record, calls: list[dict[str, Any]], events: dict[str, UsageEvent]
) -> None:
    served = {call["label"]: call for call in calls if call["status"] == 200}
    for sent in record.sent:
        if sent.outcome != "complete":
            continue
        event = events.get(sent.request_id)
        assert event is not None, f"{sent.label} was answered whole and has no event ({sent.request_id})"
        assert event.outcome == "succeeded", (sent.label, event)
        call = served[sent.label]
        cost = expected_cost_nanousd(sent.model, call["prompt_tokens"], call["completion_tokens"], sent.cached_tokens)
        assert event.cost_nanousd == cost, (sent.label, event, call)
    _assert_no_label_served_twice(record.sent, calls)


def _assert_no_label_served_twice(sent: Iterable[Sent], calls: list[dict[str, Any]]) -> None:
    times = Counter(call["label"] for call in calls if call["status"] == 200 and call["label"])
    twice = [one.label for one in sent if times[one.label] > 1 and not one.idempotent]
    assert not twice, f"called twice: {twice[:5]}"


def _assert_ledger_agrees(record: Record, events: dict[str, UsageEvent]) -> None:
    """What was booked for each event is its cost, once, from the account that made the call."""
    query = (
        "SELECT source_id, account_id, sum(amount_nanousd)::bigint AS booked FROM ledger"
        " WHERE source = 'usage' AND credit = 'revenue' AND account_id = ANY(%s) GROUP BY source_id, account_id"
    )
    rows = record.world.billing_rows(query, _accounts(record))
    booked = {(row["source_id"], row["account_id"]): row["booked"] for row in rows}
    wanted = {(event.id, event.account_id): event.cost_nanousd for event in events.values() if event.cost_nanousd}
    assert booked == wanted


def _assert_console_agrees(record: Record, events: dict[str, UsageEvent]) -> None:
    query = "SELECT event_id::text, outcome, cost_nanousd, output_tokens FROM usage WHERE account_id = ANY(%s)"
    shown = {
        row["event_id"]: (row["outcome"], row["cost_nanousd"], row["output_tokens"])
        for row in record.world.console_rows(query, _accounts(record))
    }
    assert shown == {e.id: (e.outcome, e.cost_nanousd, e.usage.output_tokens) for e in events.values()}
    query = "SELECT coalesce(sum(requests), 0)::bigint AS requests, coalesce(sum(cost_nanousd), 0)::bigint AS cost"
    (totals,) = record.world.console_rows(f"{query} FROM usage_hourly WHERE account_id = ANY(%s)", _accounts(record))
    assert totals == {"requests": len(events), "cost": sum(event.cost_nanousd for event in events.values())}
