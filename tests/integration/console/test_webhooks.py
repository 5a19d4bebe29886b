"""Webhooks: from a deposit's event to the customer's server, signed, tried again, visible; and what may not be a webhook."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.console.conftest import Browser, Deployment
from tests.integration.console.fake_deposits import FakeDeposits
from tests.support.metrics import scrape
from tests.support.waiting import eventually
from tests.support.webhook_receiver import Received, WebhookReceiver
from tt_common.contracts.deposit_events import DepositConfirmed
from tt_common.contracts.streams import deposits_subject
from tt_common.ids import new_event_id
from tt_console.domain.webhooks import DISABLE_AFTER_MS, ENDPOINTS_PER_ACCOUNT_MAX, RETRY_DELAYS_S

_paths = itertools.count(1)


@pytest.fixture(scope="module")
def receiver() -> Iterator[WebhookReceiver]:
    made = WebhookReceiver()
    yield made
    made.close()


class Hook:
    """A customer's webhook at a path of its own."""

    def __init__(self, browser: Browser, receiver: WebhookReceiver, *events: str) -> None:
        self._http = browser.http
        self._receiver = receiver
        self.path = f"/hook/{next(_paths)}?token=t"
        body = {"url": receiver.url + self.path, "events": events or ("deposit.credited",)}
        answer = browser.http.post("/webhooks", json=body)
        assert answer.status_code == 201, answer.text
        self.id: str = answer.json()["id"]
        self.secret: str = answer.json()["secret"]

    def requests(self, count: int = 1) -> list[Received]:
        """What came, once there are so many."""

        def look() -> list[Received] | None:
            came = self._receiver.at(self.path)
            return came if len(came) >= count else None

        return eventually(look, f"{count} requests")

    def deliveries(self) -> list[dict[str, Any]]:
        return self._http.get("/webhooks/deliveries", params={"webhook_id": self.id}).json()["data"]

    def delivery(self, status: str, attempts: int) -> dict[str, Any]:
        """The newest delivery, once it is like that."""

        def look() -> dict[str, Any] | None:
            found = self.deliveries()
            like = found and found[0]["status"] == status and len(found[0]["attempts"]) == attempts
            return found[0] if like else None

        return eventually(look, f"a delivery that is {status}")


def credit(deployment: Deployment, browser: Browser, **fields: object) -> str:
    """A deposit is credited; returns the event's id."""
    desk = deployment.deposits
    event = desk.credited(desk.add(browser.account_id, **fields))  # pyright: ignore[reportArgumentType]
    deployment.bus.run(desk.publish("deposit_credited", browser.account_id, event))
    return event.id


def test_a_credited_deposit_is_told_once_signed_and_whole(
    customer: Browser, stranger: Browser, deployment: Deployment, receiver: WebhookReceiver
) -> None:
    hook, theirs = Hook(customer, receiver), Hook(stranger, receiver)
    other = Hook(customer, receiver, "deposit.detected")
    desk = deployment.deposits
    record = desk.add(customer.account_id)
    event = desk.credited(record)
    for number in range(3):  # the broker takes each; the inbox takes one
        deployment.bus.run(desk.publish("deposit_credited", customer.account_id, event, f"again-{number}-{event.id}"))

    delivery = hook.delivery("delivered", 1)
    credit(deployment, customer)
    requests = hook.requests(2)

    assert [request.id for request in requests].count(event.id) == 1
    assert len(requests) == 2
    request = requests[0]
    assert request.is_signed_with(hook.secret)
    assert (request.headers["content-type"], request.message["type"]) == ("application/json", "deposit.credited")
    data = request.message["data"]
    assert (request.message["id"], data["deposit_id"]) == (event.id, record.deposit_id)
    assert (data["amount_usdt"], data["credited_usd"], data["transaction_id"]) == ("25.50", "25.50", "tx_1")
    assert (delivery["event_id"], delivery["attempts"][0]["status_code"]) == (event.id, 204)
    assert delivery["body"] == request.body.decode()
    assert (receiver.at(theirs.path), receiver.at(other.path)) == ([], [])


def test_every_kind_that_was_asked_for_is_told_and_no_other(
    customer: Browser, deployment: Deployment, receiver: WebhookReceiver
) -> None:
    hook = Hook(customer, receiver, "deposit.detected", "deposit.credited")
    desk, bus = deployment.deposits, deployment.bus
    record = desk.add(customer.account_id)
    bus.run(desk.publish("deposit_confirmed", customer.account_id, _confirmed(desk, customer.account_id)))
    bus.run(desk.publish("deposit_detected", customer.account_id, desk.detected(record)))
    credit(deployment, customer)

    told = [request.message["type"] for request in hook.requests(2)]

    assert sorted(told) == ["deposit.credited", "deposit.detected"]


def test_what_is_no_event_is_passed_over(customer: Browser, deployment: Deployment, receiver: WebhookReceiver) -> None:
    hook = Hook(customer, receiver)
    subject = deposits_subject("deposit_credited", customer.account_id)
    others = deployment.deposits.credited(deployment.deposits.add("acc_other"))
    deployment.bus.run(deployment.bus.js.publish(subject, b"{"))
    deployment.bus.run(deployment.deposits.publish("deposit_credited", customer.account_id, others))
    event_id = credit(deployment, customer)

    assert [request.id for request in hook.requests()] == [event_id]


def test_what_fails_is_tried_again_later_under_the_same_id_and_shown(
    customer: Browser, deployment: Deployment, receiver: WebhookReceiver
) -> None:
    hook = Hook(customer, receiver)
    answers = iter([503, 302, 200])
    receiver.headers = {"Location": f"{receiver.url}/elsewhere"}
    receiver.answer = lambda _: next(answers)
    try:
        credit(deployment, customer)
        first = hook.delivery("pending", 1)
        failing = customer.http.get(f"/webhooks/{hook.id}").json()["failing_since"]
        _hasten(deployment, hook)
        hook.delivery("pending", 2)
        _hasten(deployment, hook)
        done = hook.delivery("delivered", 3)
    finally:
        receiver.answer, receiver.headers = lambda _: 204, {}

    assert first["next_attempt_at"] > first["attempts"][0]["at"]
    assert failing is not None
    assert [attempt["status_code"] for attempt in done["attempts"]] == [503, 302, 200]
    assert [attempt["error"] for attempt in done["attempts"]] == ["http_status", "http_status", ""]
    assert len({request.id for request in hook.requests(3)}) == 1
    assert receiver.at("/elsewhere") == []
    assert customer.http.get(f"/webhooks/{hook.id}").json()["failing_since"] is None


def test_after_the_last_try_a_delivery_has_failed_and_is_delivered_again_by_hand(
    customer: Browser, deployment: Deployment, receiver: WebhookReceiver
) -> None:
    hook = Hook(customer, receiver)
    receiver.answer = lambda _: 500
    try:
        credit(deployment, customer)
        hook.delivery("pending", 1)
        _hasten(deployment, hook, tries=len(RETRY_DELAYS_S))
        failed = hook.delivery("failed", 2)
    finally:
        receiver.answer = lambda _: 204

    again = customer.http.post(f"/webhooks/deliveries/{failed['id']}/redeliver")
    done = hook.delivery("delivered", 3)

    assert (failed["next_attempt_at"], again.status_code, again.json()["status"]) == (None, 202, "pending")
    assert done["id"] == failed["id"]
    assert len({request.id for request in hook.requests(3)}) == 1


def test_an_endpoint_that_nothing_reaches_for_days_is_disabled_with_a_reason(
    customer: Browser, deployment: Deployment, operator: Browser, receiver: WebhookReceiver
) -> None:
    hook = Hook(customer, receiver)
    receiver.answer = lambda _: 410
    try:
        credit(deployment, customer)
        hook.delivery("pending", 1)
        statement = "UPDATE webhook_endpoints SET failing_since_ms = failing_since_ms - %s WHERE id = %s RETURNING id"
        deployment.query(statement, DISABLE_AFTER_MS, hook.id)
        _hasten(deployment, hook)
        failed = hook.delivery("failed", 2)
    finally:
        receiver.answer = lambda _: 204
    disabled = customer.http.get(f"/webhooks/{hook.id}").json()
    refused = customer.http.post(f"/webhooks/deliveries/{failed['id']}/redeliver")
    credit(deployment, customer)
    enabled = customer.http.post(f"/webhooks/{hook.id}/enable").json()
    customer.http.post(f"/webhooks/deliveries/{failed['id']}/redeliver")
    hook.delivery("delivered", 3)

    assert (disabled["status"], disabled["disabled_reason"]) == ("disabled", "nothing was delivered for 3 days")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "webhook_disabled")
    assert (enabled["status"], enabled["disabled_reason"], enabled["failing_since"]) == ("active", "", None)
    log = operator.http.get("/operator/audit-log", params={"account_id": customer.account_id}).json()["data"]
    assert [(entry["action"], entry["actor_kind"]) for entry in log if entry["target"] == hook.id] == [
        ("webhook.enabled", "user"),
        ("webhook.disabled", "system"),
        ("webhook.created", "user"),
    ]


def test_after_a_rotation_both_secrets_sign_and_none_is_shown_again(
    customer: Browser, deployment: Deployment, operator: Browser, receiver: WebhookReceiver
) -> None:
    hook = Hook(customer, receiver)
    rotated = customer.http.post(f"/webhooks/{hook.id}/rotate").json()["secret"]
    sent = customer.http.post(f"/webhooks/{hook.id}/test")
    hook.delivery("delivered", 1)
    request = hook.requests()[0]

    assert (sent.status_code, request.message["type"]) == (202, "webhook.test")
    assert rotated != hook.secret
    assert request.is_signed_with(rotated)
    assert request.is_signed_with(hook.secret)
    shown = [
        customer.http.get("/webhooks").text,
        customer.http.get(f"/webhooks/{hook.id}").text,
        customer.http.get("/webhooks/deliveries").text,
        operator.http.get("/operator/audit-log", params={"account_id": customer.account_id}).text,
        deployment.log_path.read_text(),
        request.body.decode(),
    ]
    assert [text for text in shown if hook.secret in text or rotated in text] == []
    assert f"{receiver.url}{hook.path}" not in deployment.log_path.read_text()


def test_what_is_disabled_or_deleted_is_told_nothing(
    customer: Browser, deployment: Deployment, receiver: WebhookReceiver
) -> None:
    disabled, deleted, active = (Hook(customer, receiver) for _ in range(3))
    customer.http.post(f"/webhooks/{disabled.id}/disable")
    gone = customer.http.delete(f"/webhooks/{deleted.id}").json()
    credit(deployment, customer)
    active.delivery("delivered", 1)

    assert (disabled.deliveries(), deleted.deliveries()) == ([], [])
    assert gone["status"] == "deleted"
    assert customer.http.get(f"/webhooks/{deleted.id}").status_code == 404
    assert deployment.query("SELECT secret FROM webhook_endpoints WHERE id = %s", deleted.id) == [("",)]
    listed = customer.http.get("/webhooks").json()["data"]
    assert [hook["id"] for hook in listed] == [active.id, disabled.id]


def test_a_webhook_is_edited_and_an_account_has_a_handful(
    customer: Browser, deployment: Deployment, receiver: WebhookReceiver
) -> None:
    hook = Hook(customer, receiver)
    moved = f"/moved/{hook.id}"
    body = {"url": receiver.url + moved, "description": "the new one"}
    edited = customer.http.patch(f"/webhooks/{hook.id}", json=body).json()
    credit(deployment, customer)
    eventually(lambda: receiver.at(moved), "the new URL is told")
    for _ in range(ENDPOINTS_PER_ACCOUNT_MAX - 1):
        Hook(customer, receiver)
    one_more = customer.http.post("/webhooks", json={"url": receiver.url, "events": ["deposit.held"]})

    assert (edited["description"], edited["events"]) == ("the new one", ["deposit.credited"])
    assert receiver.at(hook.path) == []
    assert (one_more.status_code, one_more.json()["error"]["code"]) == (409, "too_many_webhooks")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://receiver.example.com.:80@127.0.0.1/", "invalid_url"),
        ("https://user:password@receiver.example.com/", "invalid_url"),
        ("ftp://receiver.example.com/", "invalid_url"),
        ("https://receiver.example.com/#part", "invalid_url"),
        ("https://receiver.example.com/?a=ä", "invalid_url"),
        ("https://2130706433/", "invalid_url"),
        ("https://169.254.169.254/latest", "invalid_url"),
        ("http://93.184.216.34/", "invalid_url"),
        ("https://10.0.0.1/", "private_address"),
        ("https://[::1]/", "private_address"),
        ("https://[64:ff9b::a00:1]/", "private_address"),
    ],
)
def test_what_could_lead_inside_is_no_webhook(regular: Browser, url: str, code: str) -> None:
    answer = regular.http.post("/webhooks", json={"url": url, "events": ["deposit.credited"]})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_trials_are_throttled(customer: Browser, receiver: WebhookReceiver) -> None:
    hook = Hook(customer, receiver)
    customer.http.post(f"/webhooks/{hook.id}/disable")
    answers = [customer.http.post(f"/webhooks/{hook.id}/test") for _ in range(61)]

    assert {answer.status_code for answer in answers[:60]} == {409}
    assert (answers[60].status_code, answers[60].json()["error"]["code"]) == (429, "too_many_attempts")


def test_deliveries_come_by_pages_and_are_counted(
    customer: Browser, deployment: Deployment, receiver: WebhookReceiver
) -> None:
    hook = Hook(customer, receiver)
    events = [credit(deployment, customer) for _ in range(3)]
    hook.requests(3)

    first = customer.http.get("/webhooks/deliveries", params={"limit": 2}).json()
    second = customer.http.get("/webhooks/deliveries", params={"cursor": first["next_cursor"]}).json()
    none = customer.http.get("/webhooks/deliveries", params={"event_type": "deposit.held"}).json()

    listed = [delivery["event_id"] for delivery in first["data"] + second["data"]]
    assert sorted(listed) == sorted(events)
    assert (len(first["data"]), second["has_more"], none["data"]) == (2, False, [])
    assert scrape(deployment.url).value("tokentally_console_webhook_attempts_total", outcome="delivered") >= 3


def _hasten(deployment: Deployment, hook: Hook, tries: int | None = None) -> None:
    """What waits is due now, after so many tries."""
    statement = (
        "UPDATE webhook_deliveries SET next_attempt_at_ms = 0, tries = coalesce(%s, tries)"
        " WHERE endpoint_id = %s AND status = 'pending' RETURNING id"
    )
    assert deployment.query(statement, tries, hook.id)


def _confirmed(desk: FakeDeposits, account_id: str) -> DepositConfirmed:
    record = desk.add(account_id)
    return DepositConfirmed(
        id=new_event_id(),
        deposit_id=record.deposit_id,
        account_id=account_id,
        entry="credit",
        amount_nanousd=1,
        transfer=record.transfer,
        confirmed_at_ms=1,
    )
