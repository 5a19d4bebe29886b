"""Live deposits: a snapshot, then what changes, to those whose it is, for as long as they are signed in."""

import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import msgspec

from tests.integration.console.conftest import Browser, Deployment
from tests.support.metrics import scrape
from tests.support.waiting import eventually
from tt_common.clock import now_ms
from tt_common.contracts.deposit_events import OrderChanged
from tt_common.db.engine import make_engine
from tt_common.ids import new_event_id, sha256_hex
from tt_common.web.metrics import new_registry
from tt_console.api.context import Context
from tt_console.api.deposit_events import LiveDeposits, Pace
from tt_console.api.session import COOKIE
from tt_console.clients.billing import BillingClient
from tt_console.clients.deposit_feed import FEEDS_PER_ACCOUNT_MAX, DepositFeeds
from tt_console.clients.deposits import DepositsClient
from tt_console.clients.passwords import Argon2Passwords
from tt_console.settings import ConsoleSettings
from tt_console.store.database import PostgresDatabase
from tt_console.store.identity import find_session
from tt_console.usecases.metrics import ConsoleMetrics

WAIT_S = 20.0
ENDED = ("ended", None)


class Stream:
    """Reads one stream in the background; `next` gives (event, data)."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer
        self._events: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.ids: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def next(self) -> tuple[str, Any]:
        return self._events.get(timeout=WAIT_S)

    def until(self, event: str, wanted: Callable[[Any], bool]) -> Any:
        """The data of the first such event; what comes before it is passed over."""
        while True:
            name, data = self.next()
            assert (name, data) != ENDED
            if name == event and wanted(data):
                return data

    def close(self) -> None:
        connection: socket.socket = self._answer.extensions["network_stream"].get_extra_info("socket")
        with suppress(OSError):  # the server may have been first
            connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(WAIT_S)

    def _read(self) -> None:
        name = ""
        try:
            for line in self._answer.iter_lines():
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "id":
                    self.ids.append(value)
                elif field == "data":
                    self._events.put((name, msgspec.json.decode(value)))
        except (httpx.TransportError, httpx.StreamError) as error:
            self._events.put(("broken", repr(error)))
            return
        self._events.put(ENDED)


@contextmanager
def streaming(browser: Browser) -> Iterator[Stream]:
    with browser.http.stream("GET", "/deposits/events", timeout=httpx.Timeout(WAIT_S)) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.headers["Cache-Control"] == "no-store"
        stream = Stream(answer)
        try:
            yield stream
        finally:
            stream.close()


def test_a_snapshot_comes_first_and_then_what_changes(customer: Browser, deployment: Deployment) -> None:
    desk, bus = deployment.deposits, deployment.bus
    order = customer.http.post("/deposits/orders", json={"amount_usdt": "5"}).json()
    old = desk.add(customer.account_id)
    with streaming(customer) as stream:
        name, snapshot = stream.next()
        new = desk.add(customer.account_id, "detected", 5_000_000, 1)
        bus.run(desk.publish("deposit_detected", customer.account_id, desk.detected(new)))
        detected = stream.next()
        desk.orders[order["id"]] = msgspec.structs.replace(desk.orders[order["id"]], status="paid")
        bus.run(desk.publish("order_changed", customer.account_id, _order_changed(customer.account_id, order["id"])))
        paid = stream.next()

    assert name == "snapshot"
    assert [deposit["id"] for deposit in snapshot["deposits"]] == [old.deposit_id]
    assert ([each["id"] for each in snapshot["orders"]], snapshot["status"]["delayed"]) == ([order["id"]], False)
    assert (detected[0], detected[1]["id"], detected[1]["state"]) == ("deposit", new.deposit_id, "detected")
    assert (paid[0], paid[1]["id"], paid[1]["status"]) == ("order", order["id"], "paid")
    assert len(set(stream.ids)) == len(stream.ids) == 3


def test_confirmations_advance_without_events_until_the_deposit_is_credited(
    customer: Browser, deployment: Deployment
) -> None:
    desk = deployment.deposits
    record = desk.add(customer.account_id, "confirming", 5_000_000, 3)
    with streaming(customer) as stream:
        stream.next()
        desk.put(msgspec.structs.replace(record, confirmations=4))
        fourth = stream.next()
        desk.put(msgspec.structs.replace(record, state="credited", confirmations=19))
        deployment.bus.run(desk.publish("deposit_credited", customer.account_id, desk.credited(record)))
        credited = stream.next()

    assert [(name, deposit["state"], deposit["confirmations"]) for name, deposit in (fourth, credited)] == [
        ("deposit", "confirming", 4),
        ("deposit", "credited", 19),
    ]


def test_nobody_hears_of_anothers_deposits(customer: Browser, stranger: Browser, deployment: Deployment) -> None:
    desk, bus = deployment.deposits, deployment.bus
    with streaming(stranger) as stream:
        assert stream.next()[1]["deposits"] == []
        theirs = desk.add(customer.account_id)
        bus.run(desk.publish("deposit_credited", customer.account_id, desk.credited(theirs)))
        # One that claims to be the stranger's, and names another's deposit.
        bus.run(desk.publish("deposit_credited", stranger.account_id, desk.credited(theirs)))
        own = desk.add(stranger.account_id)
        bus.run(desk.publish("deposit_credited", stranger.account_id, desk.credited(own)))

        assert stream.next()[1]["id"] == own.deposit_id


def test_a_delay_is_told_and_so_is_its_end_and_an_absent_service_is_waited_for(
    customer: Browser, deployment: Deployment
) -> None:
    desk, bus = deployment.deposits, deployment.bus
    usual = desk.scanner
    with streaming(customer) as stream:
        stream.next()
        try:
            desk.scanner = msgspec.structs.replace(usual, delayed=True, eta_s=61.7)
            late = stream.until("status", lambda _: True)
            bus.run(desk.stop())
            own = desk.add(customer.account_id)
            bus.run(desk.publish("deposit_credited", customer.account_id, desk.credited(own)))
        finally:
            desk.scanner = usual
            bus.run(desk.start())
        told = [stream.next(), stream.next()]

    assert (late["delayed"], late["eta_s"]) == (True, 62)
    assert {name: data.get("id", data.get("delayed")) for name, data in told} == {
        "deposit": own.deposit_id,
        "status": False,
    }


def test_an_account_has_a_handful_of_streams_and_a_closed_one_makes_room(
    customer: Browser, stranger: Browser, deployment: Deployment
) -> None:
    opened = [streaming(customer) for _ in range(FEEDS_PER_ACCOUNT_MAX)]
    streams = [each.__enter__() for each in opened]
    try:
        for stream in streams:
            stream.next()
        refused = customer.http.get("/deposits/events")
        with streaming(stranger) as theirs:
            assert theirs.next()[0] == "snapshot"
        opened.pop().__exit__(None, None, None)

        def room() -> bool:
            with customer.http.stream("GET", "/deposits/events") as answer:
                return answer.status_code == 200

        assert eventually(room, "a closed stream makes room")
    finally:
        for each in opened:
            each.__exit__(None, None, None)

    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_streams")
    assert int(refused.headers["Retry-After"]) >= 1
    eventually(lambda: _open_streams(deployment) == 0, "every stream is given back")


def test_a_stream_ends_with_the_session(customer: Browser) -> None:
    with streaming(customer) as stream:
        stream.next()
        customer.http.post("/auth/logout")

        assert stream.next() == ENDED


def test_a_stream_ends_whole_when_the_process_stops(customer: Browser, deployment: Deployment) -> None:
    with streaming(customer) as stream:
        stream.next()
        try:
            deployment.stop_serving()  # fails where the process waits for its streams

            assert stream.next() == ENDED
        finally:
            deployment.restart_serving()
            eventually(lambda: httpx.get(f"{deployment.url}/readyz", trust_env=False).is_success, "it serves again")


def test_a_silent_stream_says_that_it_lives(customer: Browser, deployment: Deployment) -> None:
    async def lines() -> list[str]:
        engine = make_engine(deployment.app_url, "tests")
        nc = deployment.bus.nc
        deposits = DepositsClient(nc)
        feeds = DepositFeeds(nc, deposits, ConsoleMetrics(new_registry()))
        context = Context(
            settings=ConsoleSettings.model_validate({"nats_url": "nats://x", "database_url": "postgresql://x"}),
            credit=None,
            database=PostgresDatabase(engine, lambda: feeds.status()),
            billing=BillingClient(nc),
            deposits=deposits,
            feeds=feeds,
            passwords=Argon2Passwords(),
            trusted_proxies=(),
            provider_networks=(),
            webhook_networks=(),
        )
        async with engine.connect() as connection:
            session = await find_session(connection, sha256_hex(customer.http.cookies[COOKIE]), now_ms())
        assert session is not None
        feed = await feeds.open(customer.account_id)
        try:
            stream = LiveDeposits(context, session, feed, Pace(busy_s=0.01, idle_s=0.01, heartbeat_s=0.03))
            told = stream.lines(await stream.first())
            return [await anext(told) for _ in range(3)]
        finally:
            await feeds.close(feed, customer.account_id)
            await engine.dispose()

    first, second, third = deployment.bus.run(lines())

    assert first.startswith("retry: ")
    assert (second, third) == (": nothing new\n\n", ": nothing new\n\n")


def _open_streams(deployment: Deployment) -> float:
    return scrape(deployment.url).value("tokentally_console_event_streams")


def _order_changed(account_id: str, order_id: str) -> OrderChanged:
    return OrderChanged(
        id=new_event_id(),
        order_id=order_id,
        account_id=account_id,
        status="paid",
        amount_micro_usdt=5_000_000,
        received_micro_usdt=5_000_000,
        at_ms=now_ms(),
    )
