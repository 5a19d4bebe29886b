"""The official OpenAI SDK for Node: runs node/sdk.test.mjs once and gives each of its tests a result here."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.console import ConsoleUser
from tests.support.product import Product

FOLDER = Path(__file__).with_name("node")
FILE = FOLDER / "sdk.test.mjs"
RUN_TIMEOUT_S = 90
NAMES = re.findall(r'^test\("(.+)", async', FILE.read_text(), re.MULTILINE)
# A line of node's TAP output: "not ok 3 - the name"; `#` inside a name is escaped there.
RESULT = re.compile(r"^(not ok|ok) \d+ - (.*?)(?: # .*)?$", re.MULTILINE)

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def results(product: Product, customer: ConsoleUser) -> dict[str, tuple[bool, str]]:
    """By name: whether the test passed, and the whole output."""
    node = shutil.which("node")
    assert node is not None, "node is missing; deselect with -m 'not node'"
    assert (FOLDER / "node_modules" / "openai").exists(), "run `npm ci` in tests/conformance/node; make test does"
    disabled = customer.create_key()
    customer.disable_key(disabled)
    given = {
        "baseURL": product.base_url(),
        "key": customer.create_key().plaintext,
        "disabledKey": disabled.plaintext,
        "narrowKey": customer.create_key(models=["gpt-4o"]).plaintext,
        "limitedKey": customer.create_key(requests_per_minute=1).plaintext,
        "poorKey": product.new_customer(None).create_key().plaintext,
        "spareModel": product.new_model(),
    }
    done = subprocess.run(
        [node, "--test", "--test-reporter=tap", FILE.name],
        cwd=FOLDER,
        env=dict(os.environ) | {"TOKENTALLY": json.dumps(given)},
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )
    output = done.stdout + done.stderr
    sys.stdout.write(output)
    lines = [(line.strip(), output) for line in done.stdout.splitlines()]
    found = [(match, text) for line, text in lines if (match := RESULT.match(line)) is not None]
    return {match[2].replace("\\#", "#"): (match[1] == "ok", text) for match, text in found}


@pytest.mark.parametrize("name", NAMES)
def test_node(results: dict[str, tuple[bool, str]], name: str) -> None:
    assert name in results, f"node did not run it; it ran {sorted(results)}"
    passed, output = results[name]
    assert passed, output


def test_every_node_test_is_counted(results: dict[str, tuple[bool, str]]) -> None:
    assert set(results) - {FILE.name} == set(NAMES)
    assert len(NAMES) >= 20
