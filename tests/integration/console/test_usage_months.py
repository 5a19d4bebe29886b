"""Usage rows live in partitions by month: made as they are needed, whatever an event's time says, and no id is counted in two of them."""

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from psycopg import sql

from tests.integration.console.conftest import PROJECT, Browser, Deployment, wait_until
from tests.integration.console.test_usage import DAY, call, send, settle, stored
from tt_common.clock import now_ms
from tt_common.ids import new_event_id
from tt_console.domain.usage import DAY_MS, STARTED_MS_MIN

MONTHS = "SELECT relname FROM pg_class WHERE relname LIKE 'usage\\_20%%' AND relkind = 'r'"


def months(deployment: Deployment) -> set[str]:
    return {name for (name,) in deployment.query(MONTHS)}


def test_this_month_and_the_next_are_there_before_their_first_call(deployment: Deployment) -> None:
    def names(time_ms: int) -> str:
        ((name,),) = deployment.query("SELECT to_char(to_timestamp(%s) AT TIME ZONE 'UTC', 'YYYY_MM')", time_ms / 1000)
        return f"usage_{name}"

    now = now_ms()
    wait_until(lambda: {names(now), names(now + 31 * DAY_MS)} <= months(deployment))


def test_a_late_and_an_early_event_are_shown_in_their_months(customer: Browser, deployment: Deployment) -> None:
    late = call(customer.account_id, 0, started_at_ms=DAY - 800 * DAY_MS)  # 2024-03-23
    early = call(customer.account_id, 0, started_at_ms=DAY + 1200 * DAY_MS)  # 2029-09-13
    assert not {"usage_2024_03", "usage_2029_09"} & months(deployment)

    send(deployment, [early, late])
    settle(deployment)

    shown = [row["request_id"] for row in customer.http.get("/usage").json()["data"]]
    assert shown == [early.id, late.id]
    assert {"usage_2024_03", "usage_2029_09"} <= months(deployment)
    march = {"from": "2024-03-01T00:00:00Z", "to": "2024-04-01T00:00:00Z"}
    assert [row["request_id"] for row in customer.http.get("/usage", params=march).json()["data"]] == [late.id]
    assert [day["requests"] for day in customer.http.get("/usage/daily", params=march).json()["data"]] == [1]


def test_a_time_that_no_clock_says_is_kept_in_the_first_month(customer: Browser, deployment: Deployment) -> None:
    send(deployment, [call(customer.account_id, 0, started_at_ms=-5)])
    settle(deployment)

    (row,) = customer.http.get("/usage").json()["data"]
    assert row["started_at"] == "2020-01-01T00:00:00.000Z"


def test_two_events_of_one_id_in_different_months_are_one_call(customer: Browser, deployment: Deployment) -> None:
    # given a call that another edge took over with its id, after midnight at a month's end
    first = call(customer.account_id, 0, started_at_ms=DAY - 1)
    taken_over = call(customer.account_id, 0, id=first.id, started_at_ms=DAY + 1)

    send(deployment, [first])
    settle(deployment)
    send(deployment, [taken_over])
    settle(deployment)

    found = stored(deployment, customer.account_id)
    assert [len(rows) for rows in found.values()] == [1, 1, 1]


def test_what_has_no_uuid_is_no_event_and_does_not_stop_the_rest(customer: Browser, deployment: Deployment) -> None:
    send(deployment, [call(customer.account_id, 0, id="not-a-uuid"), call(customer.account_id, 1)])
    settle(deployment)

    assert len(customer.http.get("/usage").json()["data"]) == 1


def test_pages_lead_through_months_without_a_gap(customer: Browser, deployment: Deployment) -> None:
    events = [call(customer.account_id, 0, started_at_ms=DAY + n * 20 * DAY_MS) for n in range(-3, 4)]
    # two at the same millisecond, so that the id decides
    events.append(call(customer.account_id, 0, started_at_ms=DAY))
    send(deployment, events)
    settle(deployment)

    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = customer.http.get("/usage", params={"limit": 2} | cursor).json()
        seen += [row["request_id"] for row in page["data"]]
        if not page["has_more"]:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == [e.id for e in sorted(events, key=lambda e: (e.started_at_ms, e.id), reverse=True)]


def test_the_service_itself_can_make_no_table(deployment: Deployment) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        deployment.query("CREATE TABLE usage_2030_01_mine ()")


def test_the_migration_to_months_keeps_every_row(deployment: Deployment) -> None:
    # given a database of the revision before, with calls of two months and one of a broken clock
    name = "usage_before_months"
    owner = sql.Identifier("tt_console_owner")
    superuser = deployment.superuser_url
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), owner))
    url = f"{deployment.owner_url.rpartition('/')[0]}/{name}"
    try:
        _migrate(url, "0002")
        times = (7, DAY - 1, DAY)
        ids = [new_event_id() for _ in times]
        with psycopg.connect(url) as connection:
            for event_id, time_ms in zip(ids, times, strict=True):
                connection.execute(_OLD_ROW.encode(), (event_id, time_ms))

        # when
        _migrate(url, "head")

        # then
        with psycopg.connect(url) as connection:
            rows = connection.execute(
                "SELECT tableoid::regclass::text, event_id::text, started_at_ms, model FROM usage"
            )
            inbox = connection.execute("SELECT event_id::text FROM usage_inbox").fetchall()
            assert sorted(rows) == [
                ("usage_2020_01", ids[0], STARTED_MS_MIN, "text"),
                ("usage_2026_05", ids[1], DAY - 1, "text"),
                ("usage_2026_06", ids[2], DAY, "text"),
            ]
        assert {event_id for (event_id,) in inbox} == set(ids)
    finally:
        with psycopg.connect(superuser, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


_OLD_TEXTS = "account_id, key_id, model, provider, outcome, endpoint, protocol, price_version, usage_source, error_code"
_OLD_NUMBERS = (
    "status, input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, audio_input_tokens,"
    " audio_output_tokens, images, cost_nanousd, finished_at_ms, first_byte_ms"
)
_OLD_ROW = (
    f"INSERT INTO usage (event_id, started_at_ms, stream, {_OLD_TEXTS}, {_OLD_NUMBERS})"
    f" VALUES (%s, %s, true{', $$text$$' * 10}{', 1' * 12})"
)


def _migrate(owner_url: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(PROJECT / "services/console-api/migrations"))
    config.attributes["owner_url"] = owner_url
    config.attributes["runtime_role"] = "tt_console_app"
    command.upgrade(config, revision)
