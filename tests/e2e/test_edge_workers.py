"""A group of two edge workers behind one port: it shares the load, survives the death of a part, and leaves nothing behind."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator

import httpx
import psutil
import pytest

from tests.support.console import ApiKey, ConsoleUser
from tests.support.metrics import Metrics, scrape
from tests.support.product import Product
from tests.support.waiting import eventually
from tt_sandbox.stack.ports import HOST, pick_free
from tt_sandbox.stack.service import Service
from tt_sandbox.stack.settings import PROJECT_DIR

WORKERS = 2
CREDIT_NANOUSD = 5 * 10**9
PROMPT_TOKENS = 100
OUTPUT_TOKENS = 30
CALL_NANOUSD = PROMPT_TOKENS * 1000 + OUTPUT_TOKENS * 2000
STREAMS = 8
ROUNDS_MAX = 20


class Group:
    """An edge of its own on the shared stack, with a journal folder of its own."""

    def __init__(self, product: Product, name: str) -> None:
        self.product = product
        self.journal = product.stack.folder.edge_journal / name
        port = pick_free()
        own = {"EDGE_HOST": HOST, "EDGE_PORT": str(port), "EDGE_WORKERS": str(WORKERS)}
        self.service = Service(
            name,
            [sys.executable, "-m", "tt_edge"],
            port,
            env=product.stack.service_env("edge", name) | own,
            log_path=product.stack.folder.log(name),
            cwd=PROJECT_DIR,
            pid_path=product.stack.folder.pid(name),
        )

    def start(self) -> None:
        """Returns when every worker serves."""
        self.service.start()
        eventually(lambda: self.metrics().value("tokentally_edge_worker_up") == WORKERS, "both workers serve")

    def metrics(self) -> Metrics:
        return scrape(self.service.url)

    def by_worker(self, name: str) -> list[float]:
        metrics = self.metrics()
        return [metrics.value(name, worker=str(index)) for index in range(WORKERS)]

    def worker(self, index: int) -> psutil.Process:
        """The process in that place."""
        supervisor = psutil.Process(self.service.process.pid)
        (found,) = [child for child in supervisor.children() if child.cmdline()[4] == str(index)]
        return found

    def answer(self, path: str) -> int:
        return httpx.get(f"{self.service.url}{path}", trust_env=False).status_code


class Caller:
    """Streams of one key, each on a connection of its own, of OUTPUT_TOKENS tokens that take a second."""

    def __init__(self, group: Group, model: str, key: ApiKey) -> None:
        self._url = f"{group.service.url}/v1/chat/completions"
        self._headers = {"Authorization": f"Bearer {key.plaintext}"}
        switches = {"prompt_tokens": PROMPT_TOKENS, "output_tokens": OUTPUT_TOKENS, "label": model}
        self._body = {"model": model, "messages": [{"role": "user", "content": "Go on."}], "max_tokens": 50}
        self._slow = self._body | {"stream": True, "sandbox": switches | {"chunk_delay_ms": 30}}
        self._quick = self._body | {"sandbox": switches}

    async def whole(self) -> bool:
        """One call on a new connection; whether it was answered."""
        async with httpx.AsyncClient(trust_env=False, timeout=20.0) as http:
            return (await http.post(self._url, json=self._quick, headers=self._headers)).status_code == 200

    async def stream(self) -> bool:
        """Whether the stream came to its end."""
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=20.0) as http:
                answer = await http.post(self._url, json=self._slow, headers=self._headers)
                return answer.status_code == 200 and answer.text.endswith("data: [DONE]\n\n")
        except httpx.TransportError:
            return False

    @contextlib.asynccontextmanager
    async def streams(self, group: Group) -> AsyncIterator[list[asyncio.Task[bool]]]:
        """Streams that are under way at both workers."""
        running: list[asyncio.Task[bool]] = []
        try:
            for _ in range(ROUNDS_MAX):
                running += [asyncio.create_task(self.stream()) for _ in range(STREAMS)]
                await asyncio.sleep(0.1)
                if all(await asyncio.to_thread(group.by_worker, "tokentally_edge_journal_open_calls")):
                    break
            yield running
        finally:
            await asyncio.gather(*running)


@pytest.fixture(scope="module")
def started(product: Product) -> Iterator[Group]:
    group = Group(product, "edge-group")
    try:
        yield group
    finally:
        group.service.stop()


@pytest.fixture
def group(started: Group) -> Group:
    """Both workers serve, whatever the test before has left."""
    if started.service.env["EDGE_WORKERS"] != str(WORKERS):
        started.service.stop()
        started.service.env["EDGE_WORKERS"] = str(WORKERS)
    started.start()
    return started


@pytest.fixture
def customer(product: Product) -> ConsoleUser:
    return product.new_customer("5.00")


@pytest.fixture
def caller(group: Group, customer: ConsoleUser) -> Caller:
    key = customer.create_key()
    model = group.product.new_model(input_usd="1.00", output_usd="2.00")
    headers = {"Authorization": f"Bearer {key.plaintext}"}
    for _ in range(10):  # whichever worker answers
        eventually(
            lambda: httpx.get(f"{group.service.url}/v1/models/{model}", headers=headers, trust_env=False).is_success,
            "the group knows key and model",
        )
    return Caller(group, model, key)


async def test_two_workers_share_the_calls_and_every_call_is_charged_once(
    group: Group, caller: Caller, customer: ConsoleUser
) -> None:
    # given what each worker has served before
    before = group.by_worker("tokentally_edge_calls_total")

    # when calls come in, many at a time, until both have had some
    answered, after = 0, before
    for _ in range(ROUNDS_MAX):
        answered += sum(await asyncio.gather(*(caller.whole() for _ in range(STREAMS))))
        after = group.by_worker("tokentally_edge_calls_total")
        if all(now > then for now, then in zip(after, before, strict=True)):
            break

    # then all are answered, each by one worker, and charged once
    assert answered % STREAMS == 0
    assert [now > then for now, then in zip(after, before, strict=True)] == [True, True]
    assert sum(after) - sum(before) == answered
    assert customer.settled_balance_nanousd() == CREDIT_NANOUSD - answered * CALL_NANOUSD
    # and the one endpoint tells of both workers, whoever answers
    for _ in range(5):
        metrics = group.metrics()
        assert metrics.value("tokentally_edge_worker_up") == metrics.value("tokentally_edge_serving") == WORKERS
        assert sum("tokentally_edge_calls" in line for line in metrics.text.splitlines() if "# TYPE" in line) == 1
    assert len({group.worker(index).pid for index in range(WORKERS)}) == WORKERS


async def test_a_killed_worker_breaks_only_its_own_streams_and_comes_back(
    group: Group, caller: Caller, customer: ConsoleUser
) -> None:
    # given streams at both workers
    async with caller.streams(group) as streams:
        others = int(group.by_worker("tokentally_edge_journal_open_calls")[1])

        # when one is killed
        victim = group.worker(0)
        victim.kill()
        victim.wait(5)
        ready = [await asyncio.to_thread(group.answer, "/readyz") for _ in range(3)]
        alive = [await asyncio.to_thread(group.answer, "/healthz") for _ in range(3)]
        answered = [await caller.whole() for _ in range(3)]
        ended = await asyncio.gather(*streams)

    # then new calls and the streams of the other go on, and only its own broke
    assert (ready, alive, answered) == ([200] * 3, [200] * 3, [True] * 3)
    assert sum(ended) >= others
    assert not all(ended)
    # it comes back, and what was broken is known to billing and charged nothing
    eventually(lambda: group.metrics().value("tokentally_edge_worker_up", worker="0") == 1, "the worker is back")
    calls = customer.usage(len(ended) + len(answered))
    charged = sum(ended) + len(answered)
    assert len(calls) == len(ended) + len(answered)
    assert [call["outcome"] for call in calls].count("unresolved") == len(calls) - charged
    assert customer.settled_balance_nanousd() == CREDIT_NANOUSD - charged * CALL_NANOUSD
    assert len(_journals(group)) == WORKERS


async def test_a_fall_to_one_worker_leaves_no_journal_behind(
    group: Group, caller: Caller, customer: ConsoleUser
) -> None:
    # given a group that dies as a whole with calls in both journals
    async with caller.streams(group) as streams:
        group.service.kill()
        ended = await asyncio.gather(*streams)
    assert not any(ended)

    # when it comes back with one worker
    group.service.env["EDGE_WORKERS"] = "1"
    group.service.start()

    # then that one brings both journals home
    assert [call["outcome"] for call in customer.usage(len(ended))] == ["unresolved"] * len(ended)
    assert customer.settled_balance_nanousd() == CREDIT_NANOUSD
    eventually(lambda: len(_journals(group)) == 1, "one journal is left")


async def test_both_workers_drain_and_nothing_is_left(group: Group, caller: Caller, customer: ConsoleUser) -> None:
    # given streams at both workers
    async with caller.streams(group) as streams:
        workers = [group.worker(index) for index in range(WORKERS)]
        pid = group.service.process.pid
        assert pid is not None

        # when the group is told to stop
        os.kill(pid, signal.SIGTERM)
        await asyncio.to_thread(_until_closed, group.service.port)
        ended = await asyncio.gather(*streams)

    # then every stream ends whole, the workers by themselves, and nothing is left to recover
    assert all(ended)
    assert group.service.process.wait(20.0) == 0
    gone, alive = await asyncio.to_thread(psutil.wait_procs, workers, 20.0)
    assert (len(gone), alive) == (WORKERS, [])
    assert customer.settled_balance_nanousd() == CREDIT_NANOUSD - len(ended) * CALL_NANOUSD
    left = [path.name for path in group.journal.rglob("*") if path.is_file()]
    assert left == ["lock"] * WORKERS


def _journals(group: Group) -> list[str]:
    return sorted(path.name for path in group.journal.iterdir())


def _until_closed(port: int) -> None:
    def closed() -> bool:
        try:
            httpx.get(f"http://{HOST}:{port}/healthz", trust_env=False)
        except httpx.ConnectError:
            return True
        except httpx.TransportError:
            return False  # it was waiting to be accepted
        return False

    eventually(closed, "the port is closed")
