"""The usage read model: fed by events in any order and number, rebuilt exactly, shown and exported."""

import csv
import io
import random
from typing import Any

import msgspec
import pytest

from tests.integration.console.conftest import Browser, Deployment, wait_until
from tt_common.contracts.events import UsageEvent
from tt_common.contracts.streams import usage_subject
from tt_common.ids import new_event_id
from tt_common.rating import Usage

DAY = 1_780_272_000_000  # 2026-06-01T00:00:00Z
HOUR_MS = 3_600_000
JUNE = {"from": "2026-06-01T00:00:00Z", "to": "2026-06-03T00:00:00Z"}


def call(account_id: str, number: int, **fields: Any) -> UsageEvent:
    """The `number`-th call: one an hour, in turn with two models and two keys."""
    started_at_ms = DAY + number * HOUR_MS
    values: dict[str, Any] = {
        "id": new_event_id(),
        "account_id": account_id,
        "key_id": f"key_{number % 2}",
        "edge_id": "edge-0",
        "boot_epoch": f"epoch-{account_id}",
        "edge_seq": number + 1,
        "grant_id": "grant_1",
        "hold_id": f"hold_{number}",
        "hold_nanousd": 1_000_000,
        "outcome": "succeeded",
        "status": 200,
        "endpoint": "/v1/chat/completions",
        "protocol": "openai",
        "model": ("gpt-4o", "gpt-4o-mini")[number % 2],
        "provider": "sandbox",
        "upstream_model": "gpt-4o",
        "stream": False,
        "usage": Usage(input_tokens=100 + number, output_tokens=10),
        "usage_source": "provider",
        "price_version": "gpt-4o@1",
        "cost_nanousd": 1_000 + number,
        "started_at_ms": started_at_ms,
        "finished_at_ms": started_at_ms + 500,
    }
    return UsageEvent(**values | fields)


def send(deployment: Deployment, events: list[UsageEvent]) -> None:
    async def publish() -> None:
        for event in events:
            # No Nats-Msg-Id: the broker must not hide the duplicates.
            await deployment.bus.js.publish(usage_subject(event.account_id), msgspec.json.encode(event))

    deployment.bus.run(publish())


def settle(deployment: Deployment) -> None:
    """Until the durable has nothing left."""

    def idle() -> bool:
        info = deployment.bus.run(deployment.bus.js.consumer_info("USAGE", "console-usage"))
        return not info.num_pending and not info.num_ack_pending

    wait_until(idle)


def stored(deployment: Deployment, account_id: str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything of the account in the read model."""
    return {
        table: sorted(deployment.query(f"SELECT * FROM {table} WHERE account_id = %s", account_id))
        for table in ("usage", "usage_hourly", "usage_daily")
    }


def test_duplicates_and_reordering_give_one_row_a_call_and_exact_sums(
    customer: Browser, deployment: Deployment
) -> None:
    seed = random.randrange(10**6)
    shuffle = random.Random(seed)
    events = [call(customer.account_id, n) for n in range(40)]
    sent = events + shuffle.choices(events, k=30)
    shuffle.shuffle(sent)

    send(deployment, sent)
    settle(deployment)

    days = customer.http.get("/usage/daily", params=JUNE).json()["data"]
    assert len(stored(deployment, customer.account_id)["usage"]) == 40, f"seed {seed}"
    assert [(day["start"], day["requests"]) for day in days] == [
        ("2026-06-01T00:00:00.000Z", 24),
        ("2026-06-02T00:00:00.000Z", 16),
    ]
    assert sum(day["cost_nanousd"] for day in days) == sum(event.cost_nanousd for event in events)
    hours = customer.http.get("/usage/hourly", params=JUNE).json()["data"]
    assert len(hours) == 40
    assert sum(hour["input_tokens"] for hour in hours) == sum(event.usage.input_tokens for event in events)


def test_a_rebuild_equals_what_the_consumer_made(customer: Browser, deployment: Deployment) -> None:
    # Given calls that billing has booked, and some that it has not: those are in the stream alone.
    events = [call(customer.account_id, n) for n in range(30)]
    send(deployment, events)
    settle(deployment)
    live = stored(deployment, customer.account_id)
    booked = events[:20]
    deployment.billing.booked += booked

    # When rows are lost and false ones there, and it is rebuilt while more arrive
    more = [call(customer.account_id, n) for n in range(30, 35)]
    deployment.query(
        "WITH gone AS (DELETE FROM usage WHERE event_id = ANY(%s)) "
        "UPDATE usage_daily SET requests = 999 WHERE account_id = %s RETURNING 1",
        [event.id for event in events[:5]],
        customer.account_id,
    )
    assert stored(deployment, customer.account_id) != live
    send(deployment, more)
    deployment.command("rebuild-usage")
    settle(deployment)

    # Then it is as if nothing had happened, plus what came meanwhile.
    rebuilt = stored(deployment, customer.account_id)
    late = {event.id for event in more}
    assert [row for row in rebuilt["usage"] if str(row[0]) not in late] == live["usage"]
    assert {str(row[0]) for row in rebuilt["usage"]} == {event.id for event in events + more}
    days = customer.http.get("/usage/daily", params=JUNE).json()["data"]
    assert sum(day["requests"] for day in days) == 35
    assert sum(day["cost_nanousd"] for day in days) == sum(event.cost_nanousd for event in events + more)


def test_what_is_no_event_and_what_is_nonsense_does_not_stop_the_rest(
    customer: Browser, deployment: Deployment
) -> None:
    async def publish_rubbish() -> None:
        await deployment.bus.js.publish(usage_subject(customer.account_id), b"rubbish")

    deployment.bus.run(publish_rubbish())
    absurd = call(
        customer.account_id,
        0,
        usage=Usage(input_tokens=-5, output_tokens=10**30),
        error_code="a\x00b",
        outcome="upstream_broken",
    )
    send(deployment, [absurd, call(customer.account_id, 1)])
    settle(deployment)

    calls = customer.http.get("/usage").json()["data"]
    assert len(calls) == 2
    assert (calls[1]["input_tokens"], calls[1]["output_tokens"], calls[1]["error_code"]) == (0, 10**9, "ab")


def test_filters_pages_and_groups(customer: Browser, stranger: Browser, deployment: Deployment) -> None:
    events = [call(customer.account_id, n, outcome="failed" if n == 3 else "succeeded") for n in range(7)]
    send(deployment, [*events, call(stranger.account_id, 0)])
    settle(deployment)

    def ids(**params: Any) -> list[str]:
        return [row["request_id"] for row in customer.http.get("/usage", params=params).json()["data"]]

    newest_first = [event.id for event in reversed(events)]
    assert ids() == newest_first
    assert ids(model="gpt-4o-mini") == [event.id for event in reversed(events) if event.model == "gpt-4o-mini"]
    assert ids(key_id="key_0", outcome="succeeded") == [e.id for e in reversed(events) if e.key_id == "key_0"]
    assert ids(outcome="failed") == [events[3].id]
    assert ids(**{"from": "2026-06-01T02:00:00Z", "to": "2026-06-01T04:00:00Z"}) == newest_first[3:5]

    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = customer.http.get("/usage", params={"limit": 3} | cursor).json()
        seen += [row["request_id"] for row in page["data"]]
        if not page["has_more"]:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == newest_first

    grouped = customer.http.get("/usage/daily", params=JUNE | {"group_by": "model"}).json()["data"]
    assert [(row["model"], row["requests"], row["errors"]) for row in grouped] == [
        ("gpt-4o", 4, 0),
        ("gpt-4o-mini", 3, 1),
    ]


@pytest.mark.parametrize(
    "params",
    [
        {"cursor": "x"},
        {"cursor": "99999999999999999999999_x"},
        {"limit": 0},
        {"from": "yesterday"},
        {"outcome": "odd"},
    ],
)
def test_wrong_parameters_name_themselves(regular: Browser, params: dict[str, Any]) -> None:
    answer = regular.http.get("/usage", params=params)

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == next(iter(params))


def test_csv_has_every_call_and_exact_costs(customer: Browser, deployment: Deployment) -> None:
    events = [call(customer.account_id, n) for n in range(5)]
    send(deployment, events)
    settle(deployment)

    answer = customer.http.get("/usage.csv")

    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.headers["content-type"].startswith("text/csv")
    assert [row["request_id"] for row in rows] == [event.id for event in reversed(events)]
    assert [int(row["cost_nanousd"]) for row in rows] == [event.cost_nanousd for event in reversed(events)]


def test_receipts_are_for_the_own_account_only(customer: Browser, stranger: Browser, deployment: Deployment) -> None:
    event = call(customer.account_id, 0)
    deployment.billing.booked.append(event)

    own = customer.http.get(f"/receipts/{event.id}")
    other = stranger.http.get(f"/receipts/{event.id}")

    assert (own.status_code, own.json()["cost_nanousd"]) == (200, event.cost_nanousd)
    assert (other.status_code, other.json()["error"]["code"]) == (404, "receipt_not_found")
