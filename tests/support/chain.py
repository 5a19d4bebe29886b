"""The sandbox chain as tests use it: a process of its own, its door, and its nodes asked directly."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tt_sandbox.stack.ports import HOST, pick_free
from tt_sandbox.stack.service import Service

START_HEIGHT = 70_000_000
SOLID_LAG = 18


class Chain:
    """Close it, or use it in a `with`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=20)

    def __enter__(self) -> "Chain":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    @property
    def head(self) -> int:
        return self._ok(self.http.get("/sandbox/chain"))["head"]

    def node_url(self, node: str = "a") -> str:
        """What a scanner is pointed at."""
        return f"{self.url}/nodes/{node}"

    def send(self, to: str | None = None, amount_micro_usdt: int | None = None, **words: Any) -> dict[str, Any]:
        """A scripted transaction in the next block: its txid and block. `sender` is told as `from`."""
        script = {"to": to, "amount_micro_usdt": amount_micro_usdt, "from": words.pop("sender", None), **words}
        asked = {word: value for word, value in script.items() if value is not None}
        return self._ok(self.http.post("/sandbox/transfers", json=asked))

    def mine(self, count: int = 1, *, transactions: int = 0) -> int:
        """Makes blocks by command; the new head."""
        return self._ok(self.http.post("/sandbox/blocks", json={"count": count, "transactions": transactions}))["head"]

    def solidify(self) -> int:
        """Makes what waits and what is in a block solid; the new head."""
        return self.mine(SOLID_LAG + 1)

    def reorganise(self, depth: int, transactions: str = "drop") -> list[dict[str, Any]]:
        """Replaces the last blocks; what was in them, with the block each waits for now."""
        asked = {"depth": depth, "transactions": transactions}
        return self._ok(self.http.post("/sandbox/reorganise", json=asked))["transactions"]

    def fault(self, kind: str, node: str = "a", **words: Any) -> None:
        """Sets one fault of one node (`"*"`: of all)."""
        self._ok(self.http.post("/sandbox/faults", json={"node": node, "kind": kind, **words}))

    def heal(self) -> None:
        """Takes all faults back."""
        self._ok(self.http.delete("/sandbox/faults"))

    def record(self) -> list[dict[str, Any]]:
        """Every scripted transaction and what became of it: the oracle."""
        found: list[dict[str, Any]] = []
        while True:
            page = self._ok(self.http.get("/sandbox/transfers", params={"since": len(found)}))
            found += page["transactions"]
            if not page["more"]:
                return found

    def ask(self, path: str, node: str = "a", **fields: Any) -> Any:
        """POST to a node, such as ("wallet/getblockbynum", num=1); what it says, decoded."""
        return self._ok(self.post(path, node, **fields))

    def post(self, path: str, node: str = "a", **fields: Any) -> httpx.Response:
        """The same, as it came."""
        return self.http.post(f"/nodes/{node}/{path}", json=fields)

    def rpc(self, method: str, *params: Any, node: str = "a") -> dict[str, Any]:
        """A JSON-RPC answer, result or error."""
        return self.ask("jsonrpc", node, jsonrpc="2.0", id=1, method=method, params=list(params))

    @staticmethod
    def _ok(answer: httpx.Response) -> Any:
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        return answer.json()


@contextmanager
def chain_process(folder: Path, **variables: str) -> Iterator[Service]:
    """The chain on a free port, its log in `folder`; blocks come by command unless CHAIN_BLOCK_S says otherwise."""
    port = pick_free()
    own = {"CHAIN_HOST": HOST, "CHAIN_PORT": str(port), "CHAIN_BLOCK_S": "0"}
    service = Service(
        "chain",
        [sys.executable, "-m", "tt_sandbox.chain"],
        port,
        env=dict(os.environ) | own | variables,
        log_path=folder / "chain.log",
        cwd=folder,
        pid_path=folder / "chain.pid",
    )
    service.start()
    try:
        yield service
    finally:
        service.stop()
