"""Several processes deliver webhooks: each message is sent by one of them, and one that dies leaves its messages to the others."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from tests.integration.console.conftest import Browser, Deployment
from tests.support.waiting import eventually
from tests.support.webhook_receiver import WebhookReceiver
from tt_common.clock import now_ms
from tt_common.db.engine import make_engine
from tt_common.web.metrics import new_registry
from tt_console.clients.webhook_sender import WebhookSender
from tt_console.jobs.webhooks import WebhookJob
from tt_console.store.database import PostgresDatabase
from tt_console.store.deliveries import LEASE_MS
from tt_console.usecases.metrics import ConsoleMetrics

HOOKS = 8
EVENTS = 8


@pytest.fixture(scope="module")
def receiver() -> Iterator[WebhookReceiver]:
    made = WebhookReceiver()
    yield made
    made.close()


def test_each_message_is_sent_by_one_process(
    customer: Browser, deployment: Deployment, receiver: WebhookReceiver
) -> None:
    for number in range(HOOKS):
        body = {"url": f"{receiver.url}/many/{number}", "events": ["deposit.credited"]}
        assert customer.http.post("/webhooks", json=body).status_code == 201

    async def beside_the_serving_process() -> None:
        """Two more jobs, until all is delivered."""
        engine = make_engine(deployment.app_url, "tests")
        database = PostgresDatabase(engine, _nothing)
        sender, metrics, stopping = (
            WebhookSender([ip_network("127.0.0.0/8")]),
            ConsoleMetrics(new_registry()),
            asyncio.Event(),
        )
        jobs = [asyncio.create_task(WebhookJob(database, sender, metrics).run(stopping)) for _ in range(2)]
        desk = deployment.deposits
        try:
            for _ in range(EVENTS):
                event = desk.credited(desk.add(customer.account_id))
                await desk.publish("deposit_credited", customer.account_id, event)
            async with asyncio.timeout(14):
                # The requests come in on threads of another server's.
                while len(receiver.received) < HOOKS * EVENTS:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        finally:
            stopping.set()
            await asyncio.gather(*jobs)
            await sender.close()
            await engine.dispose()

    deployment.bus.run(beside_the_serving_process())
    eventually(lambda: _pending(deployment, customer) == 0, "all is recorded")

    sent = Counter((request.path, request.id) for request in receiver.received)
    assert (len(sent), set(sent.values())) == (HOOKS * EVENTS, {1})


def test_a_claim_that_nobody_recorded_is_due_again_when_its_lease_is_over(
    customer: Browser, deployment: Deployment, receiver: WebhookReceiver
) -> None:
    body = {"url": f"{receiver.url}/left", "events": ["deposit.credited"]}
    hook = customer.http.post("/webhooks", json=body).json()["id"]
    desk = deployment.deposits
    later_ms = now_ms() + 3_600_000
    # A delivery as a process leaves it that died after it had claimed it: pending, leased.
    receiver.answer = lambda _: 500
    try:
        event = desk.credited(desk.add(customer.account_id))
        deployment.bus.run(desk.publish("deposit_credited", customer.account_id, event))
        eventually(lambda: len(receiver.at("/left")) == 1, "a first attempt")
        eventually(lambda: _attempts(deployment, hook) == 1, "it is recorded")
    finally:
        receiver.answer = lambda _: 204
    _lease(deployment, hook, later_ms)
    claimed = deployment.bus.run(_claim(deployment, later_ms - 1))
    _lease(deployment, hook, later_ms)
    due = deployment.bus.run(_claim(deployment, later_ms))
    _lease(deployment, hook, 0)
    eventually(lambda: len(receiver.at("/left")) == 2, "somebody else sends it")

    assert hook not in claimed
    assert due[hook] == later_ms + LEASE_MS


async def _nothing() -> None:
    """Nothing is published here."""


async def _claim(deployment: Deployment, at_ms: int) -> dict[str, int | None]:
    """What a process gets at this time: when each endpoint's delivery would be due again."""
    engine = make_engine(deployment.app_url, "tests")
    try:
        async with PostgresDatabase(engine, _nothing).transaction() as unit:
            claimed = await unit.deliveries.claim(100, [], at_ms)
        return {delivery.endpoint_id: delivery.next_attempt_at_ms for delivery in claimed}
    finally:
        await engine.dispose()


def _lease(deployment: Deployment, hook: str, until_ms: int) -> None:
    statement = "UPDATE webhook_deliveries SET next_attempt_at_ms = %s WHERE endpoint_id = %s RETURNING id"
    assert deployment.query(statement, until_ms, hook)


def _attempts(deployment: Deployment, hook: str) -> int:
    return deployment.query("SELECT max(attempts) FROM webhook_deliveries WHERE endpoint_id = %s", hook)[0][0]


def _pending(deployment: Deployment, customer: Browser) -> int:
    statement = "SELECT count(*) FROM webhook_deliveries WHERE account_id = %s AND status = 'pending'"
    return deployment.query(statement, customer.account_id)[0][0]
