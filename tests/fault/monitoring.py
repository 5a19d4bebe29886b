"""The alert rules and the dashboard in a real Prometheus, which watches the product while it is broken.

`python -m tests.fault.monitoring [PROMETHEUS]`: the path of its program (Debian has it; default: the one in PATH). Ten minutes. Exit
status 1 where a rule or a query can't be evaluated, where a page fires though nothing is broken, or where one doesn't that should.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from tt_sandbox.stack import Stack
from tt_sandbox.stack.ports import HOST, pick_free
from tt_sandbox.stack.settings import PROJECT_DIR

RULES: Final = PROJECT_DIR / "deploy" / "prometheus" / "alerts.yml"
DASHBOARD: Final = PROJECT_DIR / "deploy" / "grafana" / "tokentally.json"
SCRAPE_S: Final = 5
SETTLE_S: Final = 60.0
BROKEN_S: Final = 60.0
BETWEEN_CALLS_S: Final = 0.1
CALL: Final = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20}


class Watch:
    """A Prometheus that scrapes the stack by the job names that the rules use."""

    def __init__(self, program: str, folder: Path, stack: Stack) -> None:
        edges = [f"{HOST}:{edge.port}" for edge in stack.edges]
        others = {"billing": "billing", "deposits": "deposits", "console-api": "console"}
        jobs = {"edge": edges} | {job: [f"{HOST}:{stack.service(name).port}"] for job, name in others.items()}
        scrapes = [{"job_name": job, "static_configs": [{"targets": targets}]} for job, targets in jobs.items()]
        often = {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s"}
        config = folder / "prometheus.yml"
        config.write_text(yaml.safe_dump({"global": often, "rule_files": [str(RULES)], "scrape_configs": scrapes}))
        port = pick_free()
        arguments = (
            f"--config.file={config}",
            f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address={HOST}:{port}",
        )
        with (folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen([program, *arguments], stdout=log, stderr=subprocess.STDOUT)
        self._api = httpx.Client(base_url=f"http://{HOST}:{port}/api/v1", trust_env=False, timeout=10)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def rules(self) -> list[dict[str, Any]]:
        return [rule for group in self._get("/rules")["groups"] for rule in group["rules"]]

    def query(self, expression: str) -> list[Any] | None:
        """What it finds; None where it is no query."""
        answer = self._api.get("/query", params={"query": expression})
        return answer.json()["data"]["result"] if answer.status_code == 200 else None

    def firing(self) -> set[str]:
        return {alert["labels"]["alertname"] for alert in self._get("/alerts")["alerts"] if alert["state"] == "firing"}

    def _get(self, path: str) -> Any:
        return self._api.get(path).raise_for_status().json()["data"]


@contextmanager
def traffic(stack: Stack) -> Iterator[None]:
    """Calls and streams on every edge, ten a second, whatever they are answered."""
    stopping = threading.Event()
    clients = [
        httpx.Client(base_url=url, headers={"authorization": f"Bearer {stack.demo_key()}"}, trust_env=False, timeout=15)
        for url in stack.edge_urls
    ]

    def calls() -> None:
        number = 0
        while not stopping.wait(BETWEEN_CALLS_S):
            number += 1
            try:
                clients[number % len(clients)].post("/v1/chat/completions", json=CALL | {"stream": number % 3 == 0})
            except httpx.HTTPError:
                continue  # it is broken on purpose

    thread = threading.Thread(target=calls)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def queries() -> list[str]:
    """Of the dashboard."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    targets = [target for panel in panels for target in panel.get("targets", [])]
    return [target["expr"].replace("$__rate_interval", "30s") for target in targets]


def pages(watch: Watch) -> set[str]:
    return {rule["name"] for rule in watch.rules() if rule["labels"].get("severity") == "page"}


def watched(watch: Watch, stack: Stack) -> list[str]:
    """What is wrong."""
    time.sleep(SETTLE_S)
    wrong = [f"{rule['name']}: {rule.get('lastError')}" for rule in watch.rules() if rule["health"] != "ok"]
    found = {query: watch.query(query) for query in queries()}
    wrong += [f"no query: {query}" for query, result in found.items() if result is None]
    print(f"{len(watch.rules())} rules, {len(found)} queries; nothing happened yet of:")
    print("\n".join(f"  {query}" for query, result in found.items() if result == []))
    wrong += [f"{name} fires though nothing is broken" for name in watch.firing() & pages(watch)]
    engines = (
        (stack.service("billing"), {"BillingDown"}),
        (stack.nats, {"EdgeCutOff", "NatsCutOff"}),
        (stack.postgres, {"DatabaseDown"}),
        (stack.edges[1], {"EdgeDown"}),
    )
    for engine, expected in engines:
        engine.kill()
        time.sleep(BROKEN_S)
        firing = watch.firing()
        print(f"{', '.join(sorted(expected))} expected, firing: {', '.join(sorted(firing))}", flush=True)
        wrong += [f"{name} does not fire" for name in expected - firing]
        engine.start()
        time.sleep(SETTLE_S / 2)
        wrong += [f"{name} goes on firing" for name in expected & watch.firing()]
    return wrong


def main(program: str | None) -> int:
    """Exit status."""
    if program is None:
        print("no prometheus: name the program", file=sys.stderr)
        return 1
    with (
        tempfile.TemporaryDirectory(prefix="tokentally-monitoring-") as name,
        Stack(Path(name) / "data", edges=2) as stack,
    ):
        watch = Watch(program, Path(name), stack)
        try:
            with traffic(stack):
                wrong = watched(watch, stack)
        finally:
            watch.stop()
    print("\n".join(wrong) or "all alerts that were expected fired, and ended")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else shutil.which("prometheus")))
