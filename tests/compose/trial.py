"""`make trial`: docker compose up with replicas, load through the proxy, an edge killed, all rolled, deposits whose scanner is killed or
rolled; then the bill against the record of the sandbox provider. Needs Docker and `make env`; leaves the product running.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import psycopg

from tests.compose.containers import (
    address,
    compose,
    containers,
    environment,
    inside,
    inspect,
    kill_as_a_crash,
    run,
    wait_healthy,
)
from tests.support.chain import Chain
from tests.support.console import ConsoleUser
from tests.support.waiting import eventually
from tt_common.ids import derived_event_id

REPLICAS: Final = {"edge": 3, "billing": 2, "deposits": 2, "console-api": 2}
EDGE_URL: Final = "http://127.0.0.1:8080"
CONSOLE_URL: Final = "http://127.0.0.1:8081"
SERVICES: Final = (
    "postgres",
    "nats",
    "sandbox",
    "chain",
    "billing",
    "deposits",
    "console-api",
    "edge",
    "proxy",
)
ROLLED: Final = ("billing", "console-api", "edge")
CALLERS: Final = 8
STREAMS: Final = 24
CHUNK_DELAY_MS: Final = 100
SETTLE_S: Final = 90.0
DEPOSIT_MICRO_USDT: Final = 25_000_000
NANOUSD_PER_MICRO_USDT: Final = 1_000
SEEN_S: Final = 30.0
CREDITED_S: Final = 120.0


@dataclass
class Sent:
    """What came of one call, as its client saw it."""

    request_id: str = ""
    status: int = 0
    complete: bool = False
    problem: str = ""
    first_event_s: float = 0.0
    seconds: float = 0.0


@dataclass
class Client:
    """One customer's calls through the proxy."""

    http: httpx.AsyncClient
    key: str
    sent: list[Sent] = field(default_factory=list[Sent])

    async def call(self, *, stream: bool, tokens: int = 5, chunk_delay_ms: int = 0) -> Sent:
        body: dict[str, Any] = {
            "model": "gpt-4o-mini",
            "max_tokens": tokens,
            "stream": stream,
            "messages": [{"role": "user", "content": "Hello"}],
            "sandbox": {"output_tokens": tokens, "chunk_delay_ms": chunk_delay_ms},
        }
        sent, began_s = Sent(), time.monotonic()
        self.sent.append(sent)
        request = self.http.build_request(
            "POST", f"{EDGE_URL}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {self.key}"}
        )
        try:
            answer = await self.http.send(request, stream=True)
            sent.status, sent.request_id = answer.status_code, answer.headers.get("x-tt-request-id", "")
            text = b""
            async for part in answer.aiter_raw():
                sent.first_event_s = sent.first_event_s or time.monotonic() - began_s
                text += part
            sent.complete = sent.status == 200 and (not stream or b"data: [DONE]" in text)
            if sent.status != 200:
                sent.problem = f"{sent.status} {text[:200]!r}"
        except httpx.HTTPError as error:
            sent.problem = repr(error)
        sent.seconds = time.monotonic() - began_s
        return sent

    async def call_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.call(stream=len(self.sent) % 2 == 0)


async def trial() -> None:
    """The steps, each of which says what it found."""
    key = inside("console-api", "python", "-m", "tt_console", "demo").split()[-1]
    async with httpx.AsyncClient(timeout=60.0, trust_env=False, limits=httpx.Limits(max_connections=200)) as http:
        client = Client(http, key)
        first = await client.call(stream=False)
        assert first.complete, first.problem
        await _streams_pass_unbuffered(client)
        await _nothing_private_passes(http)
        await _an_edge_crashes(client)
        for service in ROLLED:
            await _rolled_under_load(client, service)
        await asyncio.to_thread(_deposits_survive_their_scanner)
    await asyncio.to_thread(_bill_is_right, client)


async def _streams_pass_unbuffered(client: Client) -> None:
    sent = await client.call(stream=True, tokens=20, chunk_delay_ms=CHUNK_DELAY_MS)
    assert sent.complete and sent.first_event_s < sent.seconds / 2, sent
    _say(f"a stream of {sent.seconds:.2f} s gave its first event after {sent.first_event_s:.2f} s")


async def _nothing_private_passes(http: httpx.AsyncClient) -> None:
    for url in (EDGE_URL, CONSOLE_URL):
        assert (await http.get(f"{url}/metrics")).status_code == 404
        assert (await http.get(f"{url}/readyz")).status_code == 200
    _say("/metrics is not published")


async def _an_edge_crashes(client: Client) -> None:
    streams = [
        asyncio.create_task(client.call(stream=True, tokens=100, chunk_delay_ms=CHUNK_DELAY_MS)) for _ in range(STREAMS)
    ]
    await asyncio.to_thread(eventually, lambda: _flowing(client) == STREAMS, "every stream flows", 8.0)
    victim = max(containers("edge"), key=_open_calls)
    await asyncio.to_thread(kill_as_a_crash, victim)
    await asyncio.sleep(1.0)  # a call that the dying edge had just accepted breaks with it
    afterwards = [await client.call(stream=False) for _ in range(20)]
    ended = Counter(sent.complete for sent in await asyncio.gather(*streams))
    assert 0 < ended[False] < STREAMS and all(sent.complete for sent in afterwards), (ended, afterwards)
    await asyncio.to_thread(wait_healthy, "edge")
    _say(
        f"an edge killed: {ended[False]} of its streams broke, {ended[True]} of the others' went on; restarted by itself"
    )


def _flowing(client: Client) -> int:
    """Calls that have begun to answer and not ended."""
    return sum(1 for sent in client.sent if sent.first_event_s and not sent.seconds)


def _open_calls(edge: str) -> int:
    return _metric(edge, 8080, "tokentally_edge_journal_open_calls")


def _metric(container: str, port: int, name: str) -> int:
    metrics = httpx.get(f"http://{address(container)}:{port}/metrics", trust_env=False).text
    return next(int(float(line.split()[1])) for line in metrics.splitlines() if line.startswith(f"{name} "))


async def _rolled_under_load(client: Client, service: str) -> None:
    before, began_s, stop = len(client.sent), time.monotonic(), asyncio.Event()
    slow = [
        asyncio.create_task(client.call(stream=True, tokens=100, chunk_delay_ms=CHUNK_DELAY_MS)) for _ in range(STREAMS)
    ]
    callers = [asyncio.create_task(client.call_until(stop)) for _ in range(CALLERS)]
    try:
        await asyncio.to_thread(run, "deploy/compose/roll", service)
    finally:
        stop.set()
    await asyncio.gather(*callers, *slow)
    sent = client.sent[before:]
    problems = Counter(each.problem for each in sent if not each.complete)
    _say(
        f"{service} rolled in {time.monotonic() - began_s:.0f} s under {len(sent)} calls; incomplete: {dict(problems)}"
    )
    assert not problems


def _deposits_survive_their_scanner() -> None:
    _deposit("killed", lambda: kill_as_a_crash(max(containers("deposits"), key=_blocks)))
    wait_healthy("deposits")
    _deposit("rolled", lambda: run("deploy/compose/roll", "deposits"))
    blocks, verdict = inside("deposits", "python", "-m", "tt_deposits", "reconcile", "--whole").splitlines()[-2:]
    _say(f"deposits, {blocks}: {verdict}")


def _blocks(deposits: str) -> int:
    """How many it has scanned: the other one stands by."""
    return _metric(deposits, 8083, "tokentally_deposits_blocks_total")


def _deposit(ended: str, end: Callable[[], object]) -> None:
    """Of a new customer; the scanner is ended when it has seen the transfer and not yet credited it."""
    with (
        ConsoleUser(CONSOLE_URL).sign_up() as customer,
        Chain(f"http://{address(containers('chain')[0])}:8091") as chain,
    ):

        def state() -> str | None:
            records = customer.get("/deposits/records")["data"]
            assert len(records) <= 1, records
            return records[0]["state"] if records else None

        chain.send(customer.get("/deposits/address")["address"], DEPOSIT_MICRO_USDT)
        began_s = time.monotonic()
        seen = eventually(state, "the transfer is seen", SEEN_S)
        assert seen == "detected", seen
        end()
        wanted = DEPOSIT_MICRO_USDT * NANOUSD_PER_MICRO_USDT
        eventually(lambda: customer.balance_nanousd == wanted, "the deposit is in the wallet", CREDITED_S)
        seconds = time.monotonic() - began_s
        # Billing books, deposits hears of it.
        eventually(lambda: state() == "credited", "the record says so", SEEN_S)
        assert customer.balance_nanousd == wanted and len(customer.entries()) == 1, customer.entries()
        _say(f"a deposit whose scanner was {ended} in between: credited once, {seconds:.0f} s after it was sent")


def _bill_is_right(client: Client) -> None:
    password = environment()["POSTGRES_PASSWORD"]
    served: dict[str, Any] = {
        call["request_id"]: call
        for call in httpx.get(f"http://{address(containers('sandbox')[0])}:8090/sandbox/calls").json()["calls"]
    }
    deadline = time.monotonic() + SETTLE_S
    with psycopg.connect(
        host=address(containers("postgres")[0]), user="postgres", password=password, dbname="tt_billing"
    ) as database:
        while True:
            events: dict[str, str] = dict(database.execute("SELECT id::text, outcome FROM usage_events").fetchall())
            alive = database.execute("SELECT count(*) FROM grants WHERE state <> 'ended'").fetchone()
            missing = [
                each for each in served if each not in events and derived_event_id(each, "unresolved") not in events
            ]
            database.rollback()
            if not missing and alive == (0,):
                break
            assert time.monotonic() < deadline, f"{len(missing)} served calls have no event, grants alive: {alive}"
            time.sleep(1.0)
    complete = [sent.request_id for sent in client.sent if sent.complete]
    assert len(complete) == len(set(complete)) and all(events.get(each) == "succeeded" for each in complete)
    report = inside("billing", "python", "-m", "tt_billing", "reconcile")
    inside("billing", "python", "-m", "tt_billing", "replay")
    _say(
        f"{len(served)} calls at the provider, {len(complete)} complete answers, each billed once: {Counter(events.values())}"
    )
    _say(report.splitlines()[-1])


def _containers_are_locked_down() -> None:
    for service in SERVICES:
        for container in containers(service):
            host = inspect(container)["HostConfig"]
            assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and not host["Privileged"], service
            assert "no-new-privileges:true" in host["SecurityOpt"], service
            uid = run("docker", "exec", container, "id", "-u").strip()
            assert uid != "0", service
            capabilities = run("docker", "exec", container, "grep", "CapEff", "/proc/1/status").split()[-1]
            assert int(capabilities, 16) == 0, service
            touched = ["docker", "exec", container, "sh", "-c", "touch /tt-probe 2>&1 || true"]
            assert "Read-only file system" in run(*touched), service
    _say("no container runs as root, has a capability, or can write its root file system")


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)


def main() -> int:
    """The trial; AssertionError where something is not as it should be."""
    scales = [part for service, number in REPLICAS.items() for part in ("--scale", f"{service}={number}")]
    compose("up", "--detach", *scales, timeout_s=560.0)
    wait_healthy(*SERVICES)
    _say(f"up and healthy: {', '.join(f'{len(containers(service))} {service}' for service in SERVICES)}")
    _containers_are_locked_down()
    asyncio.run(trial())
    return 0


if __name__ == "__main__":
    sys.exit(main())
