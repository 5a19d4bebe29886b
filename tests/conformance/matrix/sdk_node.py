"""The vendors' SDKs for Node, behind one node process that runs node/driver.mjs for as long as the tests ask."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from tests.conformance.matrix.talk import Ask, Called, Failed, Said, Turn, User

FOLDER: Final = Path(__file__).parents[1] / "node"
PACKAGES: Final = ("openai", "@anthropic-ai/sdk", "@google/genai")
STOP_TIMEOUT_S: Final = 10


class Driver:
    """The process. It answers every line in bounded time: its SDKs have timeouts."""

    def __init__(self, url: str, key: str) -> None:
        node = shutil.which("node")
        assert node is not None, "node is missing; deselect with -m 'not node'"
        missing = [name for name in PACKAGES if not (FOLDER / "node_modules" / name).exists()]
        assert not missing, f"no {', '.join(missing)}: run `npm ci` in tests/conformance/node; make test does"
        self._process = subprocess.Popen(
            [node, "driver.mjs"],
            cwd=FOLDER,
            env=dict(os.environ) | {"TOKENTALLY": json.dumps({"url": url, "key": key})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def send(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the driver ended with {self._process.wait(STOP_TIMEOUT_S)}"
        return json.loads(line)

    def close(self) -> None:
        try:
            self._process.communicate(timeout=STOP_TIMEOUT_S)
        finally:
            self._process.kill()


class NodeSdk:
    """One of the driver's SDKs, by its name there."""

    def __init__(self, driver: Driver, told: str, lacks: frozenset[str] = frozenset()) -> None:
        self._driver = driver
        self._told = told
        self.name = f"{told} (Node)"
        self.lacks = lacks

    def close(self) -> None:
        """The driver is closed by who made it."""

    def ask(self, model: str, ask: Ask, *, stream: bool) -> Said:
        answer = self._driver.send(sdk=self._told, model=model, stream=stream, ask=_ask(ask))
        if "failed" in answer:
            raise Failed(**answer["failed"])
        assert "said" in answer, answer["crashed"]
        said = answer["said"]
        return Said(**said | {"calls": tuple(Called(**call) for call in said["calls"])})


def _ask(ask: Ask) -> dict[str, Any]:
    return {
        "turns": [_turn(turn) for turn in ask.turns],
        "system": ask.system,
        "tools": [vars(tool) for tool in ask.tools],
        "force": ask.force,
        "thinking": ask.thinking,
        "schema": ask.schema,
        "stop": ask.stop,
        "limit": ask.limit,
    }


def _turn(turn: Turn) -> dict[str, Any]:
    if isinstance(turn, User):
        return {"kind": "user", "text": turn.text, "png": _base64(turn.image_png)}
    if isinstance(turn, Said):
        return {"kind": "said", "native": turn.native}
    results = [
        {
            "call": vars(result.call),
            "text": result.text,
            "isError": result.is_error,
            "png": _base64(result.image_png),
        }
        for result in turn.of
    ]
    return {"kind": "results", "of": results}


def _base64(png: bytes | None) -> str | None:
    return None if png is None else base64.b64encode(png).decode()
