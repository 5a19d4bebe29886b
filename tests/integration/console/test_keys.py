"""The life of a key: what the edges get, with which revision, and whose keys one can see."""

import time

import nats.js.errors
import psycopg
import pytest

from tests.integration.console.conftest import Browser, Deployment, wait_until
from tt_common.ids import sha256_hex


def test_a_key_is_shown_once_and_its_record_reaches_the_bucket(customer: Browser, deployment: Deployment) -> None:
    made = customer.make_key(
        name="prod",
        monthly_limit_usd="12.5",
        requests_per_minute=60,
        concurrency=2,
        models=["gpt-4o-mini"],
        ip_ranges=["10.1.2.3/8", "192.0.2.7"],
        expires_at="2099-01-01T00:00:00Z",
        cache=True,
    )

    record = wait_until(lambda: deployment.key_record(made["key"]))
    assert made["key"].startswith("gw_")
    assert len(made["key"]) == 3 + 43
    assert (record.key_id, record.account_id, record.status, record.revision) == (
        made["id"],
        customer.account_id,
        "active",
        1,
    )
    assert record.monthly_limit_nanousd == 12_500_000_000
    assert (record.requests_per_minute, record.tokens_per_minute, record.concurrency) == (60, None, 2)
    assert (record.models, record.ip_ranges) == (("gpt-4o-mini",), ("10.0.0.0/8", "192.0.2.7/32"))
    assert record.expires_at_ms == 4_070_908_800_000
    assert record.cache is made["cache"] is True
    listed = customer.http.get("/keys").json()
    assert made["key"] not in str(listed)
    assert listed["data"][0]["display"].startswith("gw_")


def test_rotation_keeps_the_id_and_ends_the_old_key_in_under_a_second(
    customer: Browser, deployment: Deployment
) -> None:
    made = customer.make_key()
    wait_until(lambda: deployment.key_record(made["key"]))

    began = time.monotonic()
    rotated = customer.http.post(f"/keys/{made['id']}/rotate").json()
    old = wait_until(lambda: _if(deployment.key_record(made["key"]), "rotated"), 1.0)
    took_s = time.monotonic() - began

    new = wait_until(lambda: deployment.key_record(rotated["key"]))
    assert rotated["id"] == made["id"] == new.key_id
    assert (new.status, new.revision, old.revision) == ("active", 2, 2)
    assert took_s < 1.0


def test_disabling_enabling_and_deleting_count_revisions_up(customer: Browser, deployment: Deployment) -> None:
    made = customer.make_key()
    path = f"/keys/{made['id']}"

    for call, status, revision in (
        (lambda: customer.http.post(f"{path}/disable"), "disabled", 2),
        (lambda: customer.http.post(f"{path}/disable"), "disabled", 2),
        (lambda: customer.http.post(f"{path}/enable"), "active", 3),
        (lambda: customer.http.patch(path, json={"name": "renamed", "requests_per_minute": 5}), "active", 4),
        (lambda: customer.http.patch(path, json={"name": "renamed"}), "active", 4),
        (lambda: customer.http.delete(path), "deleted", 5),
    ):
        assert call().status_code == 200
        record = wait_until(lambda: _at(deployment.key_record(made["key"]), revision), 1.0)  # noqa: B023
        assert record.status == status
    assert customer.http.get(path).status_code == 404
    assert customer.http.post(f"{path}/enable").status_code == 404


def test_a_patch_leaves_what_it_does_not_name(customer: Browser) -> None:
    made = customer.make_key(monthly_limit_usd="5", tokens_per_minute=1000)

    patched = customer.http.patch(f"/keys/{made['id']}", json={"monthly_limit_usd": None}).json()

    assert (patched["monthly_limit_usd"], patched["tokens_per_minute"], patched["name"]) == (None, 1000, "a key")


def test_the_response_cache_is_off_until_it_is_switched_on(customer: Browser, deployment: Deployment) -> None:
    made = customer.make_key()

    patched = customer.http.patch(f"/keys/{made['id']}", json={"cache": True}).json()

    record = wait_until(lambda: _at(deployment.key_record(made["key"]), 2))
    assert (made["cache"], patched["cache"], record.cache) == (False, True, True)
    assert [key["cache"] for key in customer.http.get("/keys").json()["data"]] == [True]


def test_every_change_is_an_event_on_identity(customer: Browser, deployment: Deployment) -> None:
    made = customer.make_key()
    customer.http.delete(f"/keys/{made['id']}")

    subject = f"identity.v1.key_changed.{customer.account_id}"

    def last_change() -> str:
        try:
            message = deployment.bus.run(deployment.bus.js.get_last_msg("IDENTITY", subject))
        except nats.js.errors.NotFoundError:
            return ""
        assert (message.headers or {})["ce-type"] == "identity.key_changed.v1"
        return (message.data or b"").decode()

    wait_until(lambda: '"deleted"' in last_change())


def test_another_accounts_keys_do_not_exist(customer: Browser, stranger: Browser) -> None:
    theirs = customer.make_key()["id"]

    answers = [
        stranger.http.get(f"/keys/{theirs}"),
        stranger.http.patch(f"/keys/{theirs}", json={"name": "mine"}),
        stranger.http.post(f"/keys/{theirs}/rotate"),
        stranger.http.post(f"/keys/{theirs}/disable"),
        stranger.http.delete(f"/keys/{theirs}"),
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert stranger.http.get("/keys").json()["data"] == []
    assert customer.http.get(f"/keys/{theirs}").json()["status"] == "active"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("monthly_limit_usd", "-1"),
        ("monthly_limit_usd", "a lot"),
        ("monthly_limit_usd", 1.5),
        ("requests_per_minute", 0),
        ("concurrency", "2"),
        ("models", ["no-such-model"]),
        ("models", []),
        ("ip_ranges", ["300.1.1.1"]),
        ("expires_at", "2001-01-01T00:00:00Z"),
        ("expires_at", "2099-01-01T00:00:00"),
        ("name", ""),
        ("cache", "yes"),
        ("colour", "red"),
    ],
)
def test_a_wrong_field_is_named(regular: Browser, field: str, value: object) -> None:
    answer = regular.http.post("/keys", json={"name": "k", field: value})

    assert answer.status_code == 400
    assert answer.json()["error"]["param"].split(".")[0] == field


def test_the_list_pages_without_gaps(customer: Browser) -> None:
    made = [customer.make_key(name=f"key {n}")["id"] for n in range(5)]

    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = customer.http.get("/keys", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [key["id"] for key in page["data"]]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            break

    assert seen == sorted(made, reverse=True)


def test_the_audit_log_tells_of_keys_without_their_hashes(customer: Browser, deployment: Deployment) -> None:
    made = customer.make_key()
    customer.http.post(f"/keys/{made['id']}/rotate")

    rows = deployment.query(
        "SELECT action, actor, address, before::text || after::text FROM audit_log WHERE target = %s AND action = %s",
        made["id"],
        "key.rotated",
    )
    assert [(action, actor, address) for action, actor, address, _ in rows] == [
        ("key.rotated", customer.email, customer.address)
    ]
    assert sha256_hex(made["key"]) not in rows[0][3]


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"]
)
def test_the_runtime_role_can_not_rewrite_the_audit_log(deployment: Deployment, statement: str) -> None:
    with (
        psycopg.connect(deployment.app_url) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def _if(record: object, status: str) -> object:
    return record if record is not None and getattr(record, "status", "") == status else None


def _at(record: object, revision: int) -> object:
    return record if record is not None and getattr(record, "revision", 0) == revision else None
